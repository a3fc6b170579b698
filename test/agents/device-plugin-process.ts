/**
 * A device plugin as a stranger writes one: a process of its own, with the protocol from its own text. It registers whenever the
 * node's socket is made anew. Arguments: the folder, the resource, what it is to be (JSON). A line of JSON on its input changes
 * that; each call that it gets is a line of its output.
 */
import { existsSync, watch } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
	Client,
	credentials,
	Server,
	ServerCredentials,
	type ServerUnaryCall,
	type ServerWritableStream,
	type ServiceDefinition,
	type sendUnaryData,
	status,
} from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

const PROTOCOL = `
syntax = "proto3";
package v1beta1;
service Registration { rpc Register(RegisterRequest) returns (Empty); }
message DevicePluginOptions { bool pre_start_required = 1; bool get_preferred_allocation_available = 2; }
message RegisterRequest { string version = 1; string endpoint = 2; string resource_name = 3; DevicePluginOptions options = 4; }
message Empty {}
service DevicePlugin {
	rpc GetDevicePluginOptions(Empty) returns (DevicePluginOptions);
	rpc ListAndWatch(Empty) returns (stream ListAndWatchResponse);
	rpc GetPreferredAllocation(PreferredAllocationRequest) returns (PreferredAllocationResponse);
	rpc Allocate(AllocateRequest) returns (AllocateResponse);
	rpc PreStartContainer(PreStartContainerRequest) returns (Empty);
}
message Device { string ID = 1; string health = 2; }
message ListAndWatchResponse { repeated Device devices = 1; }
message PreStartContainerRequest { repeated string devices_ids = 1; }
message PreferredAllocationRequest { repeated ContainerPreferredAllocationRequest container_requests = 1; }
message ContainerPreferredAllocationRequest {
	repeated string available_deviceIDs = 1; repeated string must_include_deviceIDs = 2; int32 allocation_size = 3;
}
message PreferredAllocationResponse { repeated ContainerPreferredAllocationResponse container_responses = 1; }
message ContainerPreferredAllocationResponse { repeated string deviceIDs = 1; }
message AllocateRequest { repeated ContainerAllocateRequest container_requests = 1; }
message ContainerAllocateRequest { repeated string devices_ids = 1; }
message AllocateResponse { repeated ContainerAllocateResponse container_responses = 1; }
message CDIDevice { string name = 1; }
message Mount { string container_path = 1; string host_path = 2; bool read_only = 3; }
message DeviceSpec { string container_path = 1; string host_path = 2; string permissions = 3; }
message ContainerAllocateResponse {
	map<string, string> envs = 1; repeated Mount mounts = 2; repeated DeviceSpec devices = 3;
	map<string, string> annotations = 4; repeated CDIDevice cdi_devices = 5;
}`;

/** What the plugin is to be. */
export interface PluginState {
	readonly devices: Readonly<Record<string, string>>;
	/** One list after the other, without an end. */
	readonly flood?: boolean;
	readonly preferred?: readonly string[];
	readonly preStart?: boolean;
	/** Methods that are never answered, and those that fail, with what they say. */
	readonly hang?: readonly string[];
	readonly fail?: Readonly<Record<string, string>>;
	/** Of Allocate; `$ID` in a text is the first device's. */
	readonly answer?: object;
	readonly version?: string;
	readonly endpoint?: string;
}

const [folder = '', resource = '', first = '{}'] = process.argv.slice(2);
let state = JSON.parse(first) as PluginState;
const services = fromJSON(protobuf.parse(PROTOCOL, { keepCase: true }).root.toJSON(), {
	keepCase: true,
	defaults: true,
});
const own = state.endpoint ?? `${resource.replaceAll('/', '-')}-${process.pid}.sock`;
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const streams = new Set<ServerWritableStream<object, object>>();
const list = () => ({ devices: Object.entries(state.devices).map(([ID, health]) => ({ ID, health })) });
const tell = (stream: ServerWritableStream<object, object>) => {
	if (!stream.write(list())) stream.once('drain', () => state.flood && tell(stream));
	else if (state.flood) setImmediate(tell, stream);
};
const unary =
	(method: string, reply: (request: never) => object) =>
	({ request }: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) => {
		say({ method, request });
		if (state.hang?.includes(method)) return;
		const details = state.fail?.[method];
		if (details !== undefined) answer({ code: status.UNKNOWN, details });
		else answer(null, reply(request as never));
	};

const server = new Server();
server.addService(services['v1beta1.DevicePlugin'] as ServiceDefinition, {
	GetDevicePluginOptions: unary('GetDevicePluginOptions', () => ({
		pre_start_required: state.preStart ?? false,
		get_preferred_allocation_available: state.preferred !== undefined,
	})),
	ListAndWatch(stream: ServerWritableStream<object, object>) {
		streams.add(stream);
		stream.on('cancelled', () => streams.delete(stream));
		tell(stream);
	},
	GetPreferredAllocation: unary('GetPreferredAllocation', () => ({
		container_responses: [{ deviceIDs: state.preferred ?? [] }],
	})),
	Allocate: unary('Allocate', ({ container_requests }: { container_requests: { devices_ids: string[] }[] }) => ({
		container_responses: container_requests.map(({ devices_ids }) =>
			JSON.parse(JSON.stringify(state.answer ?? {}).replaceAll('$ID', devices_ids[0] ?? '')),
		),
	})),
	PreStartContainer: unary('PreStartContainer', () => ({})),
});
await rm(join(folder, own), { force: true });

const listen = () =>
	new Promise<void>((resolve, reject) =>
		server.bindAsync(`unix://${join(folder, own)}`, ServerCredentials.createInsecure(), (error) =>
			error ? reject(error) : resolve(),
		),
	);
const register = () => {
	const definition = services['v1beta1.Registration'] as ServiceDefinition;
	const client = new Client(`unix://${join(folder, 'kubelet.sock')}`, credentials.createInsecure());
	const { path, requestSerialize, responseDeserialize } = definition.Register ?? fail('no Register');
	const request = { version: state.version ?? 'v1beta1', endpoint: own, resource_name: resource };
	client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error) => {
		client.close();
		// Between the making of the socket and its first connection nobody listens.
		if (error?.code === status.UNAVAILABLE) setTimeout(register, 100);
		else say(error ? { refused: error.details } : { registered: resource });
	});
};
function fail(why: string): never {
	throw new Error(why);
}

// The node empties the folder when it starts: this plugin's own socket goes, too.
const begin = async () => {
	if (!existsSync(join(folder, own))) {
		server.unbind(`unix://${join(folder, own)}`);
		await listen();
	}
	register();
};
watch(folder, (_, name) => {
	if (name === 'kubelet.sock' && existsSync(join(folder, name))) void begin();
});
if (existsSync(join(folder, 'kubelet.sock'))) await begin();
for await (const line of createInterface(process.stdin)) {
	state = { ...state, ...(JSON.parse(line) as Partial<PluginState>) };
	for (const stream of streams) tell(stream);
}
process.exit(0);
