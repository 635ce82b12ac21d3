/**
 * The ways on which packets pass our chains by, looked for before a freeze: flowtables, which are closed at their
 * devices; tc redirects, nft's fwd and dup, tcx and XDP programs, which act before any hook that we could close.
 */
import { inside } from '../../namespace/namespace';
import { filters, type Link, links, queueingDisciplines } from '../../netlink/route';
import { flowtables, forwardingRules } from '../../nftables/kernel';
import { Exit, Failure } from '../../platform/failure';
import { syscallBuffer } from '../../platform/libc';
import { shown } from '../../platform/text';
import { closingPriority } from '../../ruleset/acceptance';
import type { Site } from '../machine';

/** linux/pkt_sched.h: TC_H_INGRESS is the handle of an ingress or clsact discipline; its filters hang on ffff:fff2. */
const ingressDisciplines = ['ingress', 'clsact'];
const TC_H_INGRESS_FILTERS = 0xfffffff2;
const TC_H_INGRESS_QDISC = 0xffff0000;
/** Actions that leave a packet where it is, or drop it. All others, and programs, may send it elsewhere. */
const harmlessActions = [
  'gact',
  'police',
  'csum',
  'pedit',
  'skbedit',
  'vlan',
  'connmark',
  'ctinfo',
  'sample',
  'simple',
];

/** What was found on the way to a freeze. */
export interface Shortcuts {
  /** Devices whose flowtables must be closed. */
  devices: string[];
  /** What a freeze leaves open and the user should know. */
  notes: string[];
  /** The names of all devices. */
  names: string[];
}

/**
 * Looks for ways past our chains.
 * @param name the target, for the message
 * @param options `nftables`: false where nf_tables has not been changed since it was last looked at
 * @throws Failure `shortcut` that names every way that can't be closed
 */
export function findShortcuts(site: Site, name: string, { nftables = true } = {}): Shortcuts {
  const devices = links(site.route);
  const offloads = nftables ? flowtables(site.netfilter) : [];
  const forwarding = nftables ? forwardingRules(site.netfilter) : [];
  const obstacles = [
    ...devices.filter(({ xdp }) => xdp).map((link) => `an XDP program on device ${shown(link.name)}`),
    ...ingressFilters(site, devices),
    ...tcxPrograms(site, devices),
    ...forwarding.map((chain) => `rules with fwd or dup in chain ${shown(chain)}`),
    ...offloads
      .filter(({ priority }) => priority <= closingPriority)
      .map((table) => `flowtable ${shown(table.name)} at priority ${table.priority}`),
  ];
  if (obstacles.length > 0) {
    throw new Failure('shortcut', Exit.unsupported, `${name} has ways past nftables' hooks: ${obstacles.join('; ')}`, {
      suggestions: ['remove them before the freeze, or freeze the namespace that the traffic goes to'],
    });
  }
  const names = devices.map((device) => device.name);
  return { devices: offloads.flatMap((table) => table.devices), notes: bridgeNotes(devices), names };
}

function ingressFilters(site: Site, devices: Link[]): string[] {
  const found: string[] = [];
  for (const { kind, index } of queueingDisciplines(site.route)) {
    if (!ingressDisciplines.includes(kind)) continue;
    const parent = kind === 'clsact' ? TC_H_INGRESS_FILTERS : TC_H_INGRESS_QDISC;
    const device = shown(devices.find((link) => link.index === index)?.name ?? `#${index}`);
    for (const filter of filters(site.route, index, parent)) {
      const acting = (filter.actions ?? []).filter((action) => !harmlessActions.includes(action));
      if (filter.kind === 'bpf' || filter.actions === null || acting.length > 0) {
        found.push(
          `a tc ${filter.kind} filter at the ingress of ${device}${acting.length ? ` (${acting.join(', ')})` : ''}`,
        );
      }
    }
  }
  return [...new Set(found)];
}

/** linux/bpf.h: programs attached to a device without tc's disciplines (kernel 6.6); older kernels say EINVAL. */
function tcxPrograms(site: Site, devices: Link[]): string[] {
  const number = { x64: 321, arm64: 280, riscv64: 280, loong64: 280 }[process.arch as string];
  if (number === undefined) return [];
  const BPF_PROG_QUERY = 16;
  const BPF_TCX_INGRESS = 46;
  const count = (index: number): number => {
    const query = Buffer.alloc(64);
    query.writeUInt32LE(index, 0);
    query.writeUInt32LE(BPF_TCX_INGRESS, 4);
    try {
      syscallBuffer(number, BPF_PROG_QUERY, query, query.length);
    } catch {
      return 0;
    }
    return query.readUInt32LE(24);
  };
  return inside(site.namespace, () => devices.filter(({ index }) => count(index) > 0)).map(
    ({ name }) => `a tcx program at the ingress of ${shown(name)}`,
  );
}

function bridgeNotes(devices: Link[]): string[] {
  return devices
    .filter((bridge) => bridge.kind === 'bridge' && devices.some((port) => port.master === bridge.index))
    .map(({ name }) => `${shown(name)} bridges frames between its ports at layer 2: these are not frozen`);
}

/** Mode steal holds what meets its queues; closing a device drops. */
export const flowtablesPass = (name: string, devices: string[]) =>
  new Failure(
    'flowtables-pass',
    Exit.unsupported,
    `${name} has flowtables at ${devices.map(shown).join(', ')}: their packets pass the queues by and can't be held`,
    { suggestions: ['freeze it with --mode drop, which closes them at their devices, or delete the flowtables'] },
  );
