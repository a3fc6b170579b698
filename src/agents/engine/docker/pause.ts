/**
 * What a pod's sandbox runs. The image is made by us, so that no registry is needed: one static ELF program of about 200
 * bytes that holds the pod's namespaces open. As process 1 it lets the kernel reap orphans (SIGCHLD ignored), and ends at SIGTERM or SIGINT.
 *
 *     rt_sigaction(SIGCHLD, {SIG_IGN}, NULL, 8)
 *     rt_sigprocmask(SIG_BLOCK, {SIGINT, SIGTERM}, NULL, 8)      a blocked signal is kept for process 1, an unhandled one dropped
 *     while (rt_sigtimedwait({SIGINT, SIGTERM}, NULL, NULL, 8) < 0) {}
 *     exit_group(0)
 *
 * Source: System V ABI (ELF64), signal(7), and the kernel's syscall tables of both architectures.
 */
import type { Engine } from '../engine.ts';
import { tar } from '../tar.ts';

export const PAUSE_IMAGE = 'driftless/pause:1';

export type Architecture = 'amd64' | 'arm64';

/** x86-64: number in rax; arguments in rdi, rsi, rdx, r10. */
const amd64 = bytes(`
	6a 11                 push 17                 SIGCHLD
	5f                    pop  rdi
	48 8d 35 36 00 00 00  lea  rsi, [rip+0x36]    action
	31 d2                 xor  edx, edx
	6a 08                 push 8                  size of a signal set
	41 5a                 pop  r10
	6a 0d                 push 13                 rt_sigaction
	58                    pop  rax
	0f 05                 syscall
	31 ff                 xor  edi, edi           SIG_BLOCK
	48 8d 35 42 00 00 00  lea  rsi, [rip+0x42]    set
	6a 0e                 push 14                 rt_sigprocmask
	58                    pop  rax
	0f 05                 syscall
	48 8d 3d 36 00 00 00  wait: lea rdi, [rip+0x36]   set
	31 f6                 xor  esi, esi
	b8 80 00 00 00        mov  eax, 128           rt_sigtimedwait
	0f 05                 syscall
	85 c0                 test eax, eax
	78 ec                 js   wait
	31 ff                 xor  edi, edi
	b8 e7 00 00 00        mov  eax, 231           exit_group
	0f 05                 syscall
`);

/** AArch64, little endian: number in x8; arguments in x0 to x3, which a call leaves as they are but for x0. */
const arm64 = bytes(`
	20 02 80 d2           movz x0, #17            SIGCHLD
	21 02 00 10           adr  x1, action
	02 00 80 d2           movz x2, #0
	03 01 80 d2           movz x3, #8             size of a signal set
	c8 10 80 d2           movz x8, #134           rt_sigaction
	01 00 00 d4           svc  #0
	00 00 80 d2           movz x0, #0             SIG_BLOCK
	61 02 00 10           adr  x1, set
	e8 10 80 d2           movz x8, #135           rt_sigprocmask
	01 00 00 d4           svc  #0
	00 02 00 10           wait: adr x0, set
	01 00 80 d2           movz x1, #0
	28 11 80 d2           movz x8, #137           rt_sigtimedwait
	01 00 00 d4           svc  #0
	80 ff ff b7           tbnz x0, #63, wait
	00 00 80 d2           movz x0, #0
	c8 0b 80 d2           movz x8, #94            exit_group
	01 00 00 d4           svc  #0
`);

/** The kernel's sigaction: handler 1 is SIG_IGN, then flags, restorer and mask. */
const action = Buffer.from([1, ...Array<number>(31).fill(0)]);
/** A set of signals, bit N-1 for signal N: SIGINT (2) and SIGTERM (15). */
const set = Buffer.from([0x02, 0x40, 0, 0, 0, 0, 0, 0]);

const BASE = 0x400000;
const HEADERS = 64 + 56;
const machines = { amd64: { code: amd64, machine: 62 }, arm64: { code: arm64, machine: 183 } } as const;

/** The program: an ELF header, one program header that maps the whole file, code, data. */
export function pauseProgram(architecture: Architecture): Buffer {
	const { code, machine } = machines[architecture];
	const body = Buffer.concat([code, action, set]);
	const head = Buffer.alloc(HEADERS);
	head.write('\x7fELF', 0, 'latin1');
	head.set([2, 1, 1], 4); // 64 bits, little endian, version 1
	head.writeUInt16LE(2, 16); // an executable
	head.writeUInt16LE(machine, 18);
	head.writeUInt32LE(1, 20);
	head.writeBigUInt64LE(BigInt(BASE + HEADERS), 24); // entry
	head.writeBigUInt64LE(64n, 32); // program headers follow
	head.writeUInt16LE(64, 52);
	head.writeUInt16LE(56, 54);
	head.writeUInt16LE(1, 56);
	head.writeUInt32LE(1, 64); // PT_LOAD
	head.writeUInt32LE(5, 68); // readable and executable
	head.writeBigUInt64LE(BigInt(BASE), 80);
	head.writeBigUInt64LE(BigInt(BASE), 88);
	head.writeBigUInt64LE(BigInt(HEADERS + body.length), 96);
	head.writeBigUInt64LE(BigInt(HEADERS + body.length), 104);
	head.writeBigUInt64LE(0x1000n, 112);
	return Buffer.concat([head, body]);
}

/** Makes sure that the engine has the pause image. Throws where the engine's architecture is neither amd64 nor arm64. */
export async function ensurePauseImage(engine: Pick<Engine, 'images' | 'info'>): Promise<void> {
	if (await engine.images.inspect(PAUSE_IMAGE)) return;
	const { architecture } = await engine.info();
	if (architecture !== 'amd64' && architecture !== 'arm64') {
		throw new Error(`no pause program for the architecture ${architecture}: run the agent on amd64 or arm64`);
	}
	const archive = tar([{ type: 'file', path: 'pause', content: pauseProgram(architecture), mode: 0o755 }]);
	await engine.images.load(PAUSE_IMAGE, archive, { entrypoint: ['/pause'] });
}

/** The hexadecimal bytes of a listing: each line's leading pairs, up to two spaces. */
function bytes(listing: string): Buffer {
	const lines = listing.trim().split('\n');
	return Buffer.concat(lines.map((line) => Buffer.from((line.trim().split('  ')[0] ?? '').replaceAll(' ', ''), 'hex')));
}
