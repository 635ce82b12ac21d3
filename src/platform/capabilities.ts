/** What this process may do: its effective capabilities (linux/capability.h), read from the kernel. */
import { readFileSync } from 'node:fs';
import { Exit, Failure } from './failure';

/** linux/capability.h */
const capabilityBits = { CAP_NET_ADMIN: 12, CAP_NET_RAW: 13, CAP_SYS_PTRACE: 19, CAP_SYS_ADMIN: 21 } as const;

export type Capability = keyof typeof capabilityBits;

/** @returns those of the wanted capabilities that this process does not have in its effective set */
export function missingCapabilities(...wanted: Capability[]): Capability[] {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  const effective = BigInt(`0x${line?.[1] ?? '0'}`);
  return wanted.filter((name) => ((effective >> BigInt(capabilityBits[name])) & 1n) === 0n);
}

/**
 * Freezing means entering the namespace (CAP_SYS_ADMIN) and changing its nftables (CAP_NET_ADMIN).
 * @param task what the user wanted, for the message
 * @throws Failure `not-permitted` that names what is missing
 */
export function requireCapabilities(task: string): void {
  const missing = missingCapabilities('CAP_SYS_ADMIN', 'CAP_NET_ADMIN');
  if (missing.length === 0) return;
  throw new Failure('not-permitted', Exit.notPermitted, `cannot ${task}: this process lacks ${missing.join(' and ')}`, {
    suggestions: ['run it as root, for example with sudo', '`netfreeze preview <target>` needs no privileges'],
  });
}
