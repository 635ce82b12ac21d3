/**
 * A plan: what a freeze shall be, validated once, at the door. Values reach a template from here and from nowhere else.
 */
import { Exit, Failure } from '../platform/failure';
import { quoted } from '../platform/text';
import { type Duration, durationText } from './duration';
import type { QueueNumbers } from './queue-numbers';

export const modes = ['drop', 'steal'] as const;
export type Mode = (typeof modes)[number];

/** The packets that a direction's queue holds unless told otherwise: a small machine can afford them (netfreeze(8)). */
export const defaultHoldLimit = 16_384;
const largestHoldLimit = 500_000;

/** A remote end that stays reachable. Without protocol every protocol, without port every port. */
export interface Allowed {
  family: 'ip' | 'ip6';
  /** A literal address or network, as the user wrote it. */
  address: string;
  protocol: 'tcp' | 'udp' | null;
  port: number | null;
}

/** A device whose flowtable must be closed, and the chain that does it. */
export interface ClosedDevice {
  name: string;
  chain: string;
}

/** What a freeze shall be. */
export interface Plan {
  mode: Mode;
  /** The template's name, as the freezing rules' comment carries it. */
  template: string;
  /** null: endless. */
  lease: Duration | null;
  loopback: 'freeze' | 'keep';
  allow: Allowed[];
  marks: number[];
  devices: ClosedDevice[];
  /** Mode steal: the queue that takes each direction's packets. */
  queues: QueueNumbers;
  /** Mode steal: how many packets each queue holds. */
  holdLimit: number;
}

/** What each namespace has of its own; the rest of a plan is what the user asked for. */
export type Asked = Omit<Plan, 'devices' | 'queues'>;

/** What a template can use; templates/drop.nft.hbs describes each. */
export interface TemplateValues {
  comment: string;
  timeout: string;
  keepLoopback: boolean;
  marks: string[];
  allow: Allowed[];
  closesDevices: boolean;
  devices: ClosedDevice[];
  queueIn: number;
  queueOut: number;
}

/** @returns the plan in the form that templates use */
export function templateValues(plan: Plan): TemplateValues {
  return {
    comment: freezingComment(plan.mode, plan.template),
    timeout: plan.lease === null ? '' : ` timeout ${durationText(plan.lease)}`,
    keepLoopback: plan.loopback === 'keep',
    marks: [...new Set(plan.marks)].map((mark) => `0x${mark.toString(16).padStart(8, '0')}`),
    allow: plan.allow,
    closesDevices: plan.devices.length > 0,
    devices: plan.devices,
    queueIn: plan.queues.in,
    queueOut: plan.queues.out,
  };
}

/** @returns the comment on a freezing rule, by which our table is known without a record */
export const freezingComment = (mode: Mode, template: string): string => `netfreeze/1 ${mode} ${template}`;

/**
 * Reads a freezing rule's comment.
 * @returns mode and template; null for any other comment
 */
export function readFreezingComment(comment: string): { mode: Mode; template: string } | null {
  const [, mode, template] = /^netfreeze\/1 (drop|steal) ([A-Za-z][A-Za-z0-9_-]*)$/.exec(comment) ?? [];
  return mode && template ? { mode: mode as Mode, template } : null;
}

/**
 * Reads `ADDR[:PORT[/PROTO]]`: literal addresses and networks, IPv6 with a port in brackets.
 * @returns one entry, or two (tcp and udp) for a port without protocol
 * @throws Failure `bad-allow`
 */
export function parseAllowed(text: string): Allowed[] {
  const refuse = (why: string) =>
    new Failure('bad-allow', Exit.usage, `--allow ${quoted(text)}: ${why}`, {
      suggestions: ['write 10.0.0.7, 10.0.0.0/8, 10.0.0.7:443, 10.0.0.7:53/udp, fd00::1 or [fd00::1]:443/tcp'],
    });
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/s.exec(text);
  const plain = /^([^:]*):(.*)$/s.exec(text);
  const [address, rest] = bracketed
    ? [bracketed[1] ?? '', bracketed[2]]
    : isNetwork(text) === 6 || !plain
      ? [text, undefined]
      : [plain[1] ?? '', plain[2]];
  const version = isNetwork(address);
  if (version === 0) throw refuse(`${quoted(address)} is not a literal address or network`);
  const family = version === 4 ? 'ip' : 'ip6';
  if (rest === undefined && address.endsWith('/0')) throw refuse('that would exempt every packet of the family');
  if (rest === undefined) return [{ family, address, protocol: null, port: null }];
  const [, port, protocol] = /^([0-9]{1,5})(?:\/(tcp|udp))?$/.exec(rest) ?? [];
  if (port === undefined) throw refuse(`${quoted(rest)} is not PORT or PORT/tcp or PORT/udp`);
  if (Number(port) < 1 || Number(port) > 65535) throw refuse(`port ${port} is not between 1 and 65535`);
  const protocols = protocol === undefined ? (['tcp', 'udp'] as const) : ([protocol as 'tcp' | 'udp'] as const);
  return protocols.map((name) => ({ family, address, protocol: name, port: Number(port) }));
}

/** @returns 4 or 6 for an address or a network with a prefix length that fits (nft reads /010 as octal), 0 for all else */
function isNetwork(text: string): 0 | 4 | 6 {
  // Loaded late: it brings all of Node's sockets, which no other command needs.
  const { isIP } = require('node:net') as typeof import('node:net');
  const [, address = '', prefix] = /^([0-9A-Fa-f.:]+)(?:\/(0|[1-9][0-9]{0,2}))?$/.exec(text) ?? [];
  const version = isIP(address) as 0 | 4 | 6;
  return prefix !== undefined && Number(prefix) > (version === 4 ? 32 : 128) ? 0 : version;
}

/**
 * Reads a packet mark: decimal or 0x…, 1 to 0xffffffff. Mark 0 is what every packet has that nobody has marked.
 * @throws Failure `bad-mark`
 */
export function parseMark(text: string): number {
  const mark = /^(0x[0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(text) ? Number(text) : 0;
  if (mark >= 1 && mark <= 0xffffffff) return mark;
  throw new Failure('bad-mark', Exit.usage, `--allow-mark ${quoted(text)}: not a packet mark`, {
    suggestions: ['write a number from 1 to 4294967295, such as 0xC114'],
  });
}

/**
 * Reads how many packets each direction may hold.
 * @throws Failure `bad-hold-limit`
 */
export function parseHoldLimit(text: string): number {
  const limit = /^[0-9]{1,7}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= largestHoldLimit) return limit;
  throw new Failure('bad-hold-limit', Exit.usage, `--hold-limit ${quoted(text)}: not a number of packets`, {
    suggestions: [`write a number from 1 to ${largestHoldLimit}; netfreeze(8) says what memory that takes`],
  });
}

/**
 * Names the devices that a freeze closes.
 * @throws Failure `odd-device-name` for a name that can't be written in nft's language
 */
export function closedDevices(names: string[]): ClosedDevice[] {
  return [...new Set(names)].sort().map((name, index) => {
    if (!/^[A-Za-z0-9_.@-]{1,15}$/.test(name)) {
      throw new Failure(
        'odd-device-name',
        Exit.unsupported,
        `a flowtable uses the device ${quoted(name)}, whose name cannot be written in an nftables ruleset`,
        { suggestions: ['rename the device, or delete the flowtable'] },
      );
    }
    return { name, chain: `ingress_${index + 1}` };
  });
}
