/** The plans whose rulesets are kept as golden files: golden/NAME.nft, and golden/NAME.listing as nft shows it. */
import type { Duration } from '../../src/ruleset/duration';
import { closedDevices, defaultHoldLimit, type Plan, parseAllowed, parseMark } from '../../src/ruleset/plan';
import { defaultNumbers } from '../../src/ruleset/queue-numbers';

/** An endless freeze of everything: what `netfreeze on web` asks for. */
export const endless: Plan = {
  mode: 'drop',
  template: 'drop',
  lease: null,
  loopback: 'freeze',
  allow: [],
  marks: [],
  devices: [],
  queues: defaultNumbers,
  holdLimit: defaultHoldLimit,
};

const allow = (...texts: string[]): Pick<Plan, 'allow'> => ({ allow: texts.flatMap(parseAllowed) });
const lease = (ms: number): Pick<Plan, 'lease'> => ({ lease: ms as Duration });

export const plans: Record<string, Plan> = {
  endless,
  lease: { ...endless, ...lease(30_000) },
  'lease-in-milliseconds': { ...endless, ...lease(1500) },
  loopback: { ...endless, loopback: 'keep' },
  marks: { ...endless, marks: ['0xC114', '7', '0xffffffff', '49428'].map(parseMark) },
  'allow-ipv4': { ...endless, ...allow('10.0.0.7', '10.1.0.0/16') },
  'allow-ipv6': { ...endless, ...allow('fd00::1', 'fd00:1::/32', '::ffff:10.0.0.7') },
  'allow-ports': {
    ...endless,
    ...allow('10.0.0.7:443', '10.0.0.7:53/udp', '[fd00::1]:443/tcp', '[fd00::]:53', '10.0.0.0/8:65535/tcp'),
  },
  devices: { ...endless, ...lease(300_000), devices: closedDevices(['eth1', 'eth0.100', 'eth1', 'wan@0_x-y']) },
  steal: { ...endless, mode: 'steal', template: 'steal' },
  'steal-everything': {
    ...endless,
    mode: 'steal',
    template: 'steal',
    ...lease(7_200_000),
    ...allow('10.0.0.7', 'fd00::/64', '192.0.2.9:22/tcp', '[2001:db8::9]:22'),
    loopback: 'keep',
    marks: [parseMark('0xC114')],
    queues: { in: 7, out: 8 },
  },
  everything: {
    ...endless,
    ...lease(7_200_000),
    ...allow('10.0.0.7', 'fd00::/64', '192.0.2.9:22/tcp', '[2001:db8::9]:22'),
    loopback: 'keep',
    marks: [parseMark('0xC114')],
    devices: closedDevices(['wan0', 'lan0']),
  },
};
