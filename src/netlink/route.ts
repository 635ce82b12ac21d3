/** rtnetlink: the devices, neighbours, queues and traffic-control filters of a namespace. */
import {
  attribute,
  attributes,
  find,
  hostUint32,
  type Message,
  message,
  NLM_F,
  nested,
  stringAttribute,
  textOf,
} from './message';
import type { NetlinkSocket, Request } from './socket';

/** linux/rtnetlink.h */
const RTM = { NEWLINK: 16, GETLINK: 18, DELNEIGH: 29, GETNEIGH: 30, GETQDISC: 38, GETTFILTER: 46 } as const;
/** linux/if_link.h */
const IFLA = { IFNAME: 3, MASTER: 10, LINKINFO: 18, EXT_MASK: 29, XDP: 43 } as const;
/** linux/rtnetlink.h: without counts, which take most of the kernel's time and of the answer. */
const RTEXT_FILTER_SKIP_STATS = 1 << 3;
const IFLA_INFO_KIND = 1;
const IFLA_XDP_ATTACHED = 2;
/** linux/neighbour.h */
const NDA_DST = 1;
const NUD_INCOMPLETE = 0x01;
/** linux/rtnetlink.h, linux/gen_stats.h */
const TCA = { KIND: 1, OPTIONS: 2, STATS2: 7 } as const;
const TCA_STATS_QUEUE = 3;
const TCA_ACT_KIND = 1;
/** linux/pkt_cls.h: where the attribute with a classifier's actions stands in its options. */
const actionsAttribute: Record<string, number> = { basic: 3, bpf: 1, flow: 9, flower: 3, fw: 4, matchall: 2, u32: 7 };

/** sizeof ifinfomsg, ndmsg, tcmsg */
const sizeof = { ifinfomsg: 16, ndmsg: 12, tcmsg: 20 } as const;

/** A network device. */
export interface Link {
  index: number;
  name: string;
  /** What `ip -d link` calls its kind: `veth`, `bridge`, …; empty for a device without one. */
  kind: string;
  /** Index of the device that it is a port of (a bridge, a bond), or 0. */
  master: number;
  /** Whether an XDP program is attached in any mode. */
  xdp: boolean;
}

/** A neighbour (ARP, neighbour discovery) whose address is not known yet, so that packets wait for it. */
export interface UnresolvedNeighbour {
  family: number;
  index: number;
  address: Buffer;
}

/** A queueing discipline with what stands in it. */
export interface QueueingDiscipline {
  index: number;
  kind: string;
  handle: number;
  parent: number;
  /** Packets waiting. */
  queued: number;
}

/** A traffic-control filter: its kind and the kinds of its actions. */
export interface Filter {
  kind: string;
  /** null: of this kind we do not know where its actions stand. */
  actions: string[] | null;
}

/** @returns all devices of the socket's namespace */
export function links(route: NetlinkSocket): Link[] {
  const mask = attribute(IFLA.EXT_MASK, hostWord(RTEXT_FILTER_SKIP_STATS));
  return route.dump(dumpOf(RTM.GETLINK, sizeof.ifinfomsg, mask)).map(({ payload }) => {
    const link: Link = { index: payload.readInt32LE(4), name: '', kind: '', master: 0, xdp: false };
    for (const { type, data } of attributes(payload, sizeof.ifinfomsg)) {
      if (type === IFLA.IFNAME) link.name = textOf(data);
      else if (type === IFLA.MASTER) link.master = hostUint32(data) ?? 0;
      else if (type === IFLA.LINKINFO) link.kind = textOf(find(data, IFLA_INFO_KIND));
      else if (type === IFLA.XDP) link.xdp = (find(data, IFLA_XDP_ATTACHED)?.[0] ?? 0) !== 0;
    }
    return link;
  });
}

/** @returns the neighbours of the socket's namespace that packets may be waiting for */
export function unresolvedNeighbours(route: NetlinkSocket): UnresolvedNeighbour[] {
  const unresolved: UnresolvedNeighbour[] = [];
  for (const { payload } of route.dump(dumpOf(RTM.GETNEIGH, sizeof.ndmsg))) {
    if ((payload.readUInt16LE(8) & NUD_INCOMPLETE) === 0) continue;
    const address = find(payload, NDA_DST, sizeof.ndmsg);
    if (address) unresolved.push({ family: payload[0] ?? 0, index: payload.readInt32LE(4), address });
  }
  return unresolved;
}

/** Removes a neighbour and throws away what waits for it; throws ENOENT when it has gone by itself. */
export function removeNeighbour(route: NetlinkSocket, { family, index, address }: UnresolvedNeighbour): void {
  const header = Buffer.alloc(sizeof.ndmsg);
  header[0] = family;
  header.writeInt32LE(index, 4);
  route.request((sequence) => message(RTM.DELNEIGH, NLM_F.ACK, sequence, header, attribute(NDA_DST, address)));
}

/** @returns all queueing disciplines of the socket's namespace */
export function queueingDisciplines(route: NetlinkSocket): QueueingDiscipline[] {
  return route.dump(dumpOf(RTM.GETQDISC, sizeof.tcmsg)).map(({ payload }) => {
    const stats = find(payload, TCA.STATS2, sizeof.tcmsg);
    // struct gnet_stats_queue: qlen, backlog, drops, requeues, overlimits.
    const queue = stats && find(stats, TCA_STATS_QUEUE);
    return {
      index: payload.readInt32LE(4),
      kind: textOf(find(payload, TCA.KIND, sizeof.tcmsg)),
      handle: payload.readUInt32LE(8),
      parent: payload.readUInt32LE(12),
      queued: hostUint32(queue) ?? 0,
    };
  });
}

/**
 * @param index the device
 * @param parent the hook or class that the filters hang on (`TC_H_INGRESS`, …)
 * @returns the filters there, with the kinds of their actions
 */
export function filters(route: NetlinkSocket, index: number, parent: number): Filter[] {
  const header = Buffer.alloc(sizeof.tcmsg);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(parent, 12);
  return route
    .dump((sequence) => message(RTM.GETTFILTER, NLM_F.DUMP, sequence, header))
    .map(({ payload }: Message) => {
      const kind = textOf(find(payload, TCA.KIND, sizeof.tcmsg));
      const options = find(payload, TCA.OPTIONS, sizeof.tcmsg);
      const place = actionsAttribute[kind];
      if (place === undefined) return { kind, actions: null };
      const list = options && find(options, place);
      const actions = list ? [...attributes(list)].map(({ data }) => textOf(find(data, TCA_ACT_KIND))) : [];
      return { kind, actions };
    });
}

/**
 * Makes a device that does nothing, to stand for one of the same name elsewhere.
 * @param name its name
 * @throws SystemError from the kernel, EOPNOTSUPP when it has no such kind
 */
export function makeStandIn(route: NetlinkSocket, name: string): void {
  const kind = nested(IFLA.LINKINFO, stringAttribute(IFLA_INFO_KIND, 'bridge'));
  const flags = NLM_F.ACK | NLM_F.CREATE | NLM_F.EXCL;
  route.request((sequence) =>
    message(RTM.NEWLINK, flags, sequence, Buffer.alloc(sizeof.ifinfomsg), stringAttribute(IFLA.IFNAME, name), kind),
  );
}

const dumpOf =
  (type: number, headerSize: number, ...what: Buffer[]): Request =>
  (sequence) =>
    message(type, NLM_F.DUMP, sequence, Buffer.alloc(headerSize), ...what);

function hostWord(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value, 0);
  return bytes;
}
