/**
 * From the moment at which a pod begins to work until the next replica that its autoscaler asks for runs, as the engine tells it,
 * through a platform that runs as a user runs it. The bound is the interval at which it looks, and three seconds; beside it is what
 * a pod takes by itself in the same run.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { lines } from '../src/agents/engine/docker/lines.ts';
import { startPlatform } from '../test/testbed/platform.ts';
import { line } from './figures/figures.ts';

const INTERVAL_S = 15;
const BAR_S = INTERVAL_S + 3;
/** The load begins at other moments between two looks. */
const OFFSETS_S = [0.5, 8, 13.5];

await using platform = await startPlatform();
const { docker } = platform.engine;

const objects = (name: string, after: number) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  selector: { matchLabels: { app: ${name} } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: ${name}
          image: driftless/example:1
          command: [sh, -c, "while ! test -f /tmp/on; do sleep 0.1; done; while :; do :; done"]
          resources: { requests: { cpu: 50m }, limits: { cpu: 200m } }
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: ${name}, labels: { after: "${after}" } }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: ${name} }
  maxReplicas: 2
  metrics: [{ type: Resource, resource: { name: cpu, target: { type: Utilization, averageUtilization: 80 } } }]
`;

async function started(name: string, act: () => Promise<unknown>): Promise<number> {
	const filters = { event: ['start'], label: [`io.kubernetes.container.name=${name}`] };
	const events = (await docker.getEvents({ filters } as object)) as NodeJS.ReadableStream & { destroy(): void };
	const began = performance.now();
	const running = (async () => {
		for await (const _ of lines(events)) return (performance.now() - began) / 1000;
		throw new Error('the engine has closed its events');
	})();
	await act();
	const took = await running;
	events.destroy();
	return took;
}

async function ok(...args: string[]): Promise<string> {
	const { code, stdout, output } = await platform.kubectl(...args);
	if (code !== 0) throw new Error(output);
	return stdout;
}

let worst = 0;
let alone = 0;
for (const [index, offset] of OFFSETS_S.entries()) {
	const name = `busy-${index}`;
	alone = await started(name, () => platform.run('kubectl', ['apply', '-f', '-'], { input: objects(name, offset) }));
	const active = () => ok('get', 'hpa', name, '-o', 'jsonpath={.status.conditions[?(@.type=="ScalingActive")].status}');
	await platform.until('it is measured', active, (seen) => seen === 'True');
	// It looks at the interval from here on.
	await delay(INTERVAL_S * 1000 + offset * 1000);
	const took = await started(name, () => ok('exec', `deployment/${name}`, '--', 'touch', '/tmp/on'));
	line(`load begun ${offset} s after a look to new replica running`, `${took.toFixed(1)} s`);
	worst = Math.max(worst, took);
	await ok('delete', 'hpa,deployment', name, '--now');
}
line('a pod by itself: applied to running', `${alone.toFixed(1)} s`);
line(`the longest of them (bar ${BAR_S} s)`, `${worst.toFixed(1)} s`);
if (worst > BAR_S) process.exitCode = 1;
