/**
 * The rules that hand packets to NFQUEUE, as the kernel shows them. nft's JSON leaves the number out in some versions,
 * and always where the rule is iptables' target (FACTS).
 */
import { attributes, find, message, NLM_F, textOf } from '../netlink/message';
import type { NetlinkSocket } from '../netlink/socket';
import {
  families,
  NFNL_SUBSYS_NFTABLES,
  NFT_MSG,
  NFTA_EXPR,
  NFTA_QUEUE,
  NFTA_RULE,
  NFTA_TARGET,
  nfgenmsg,
  sizeofNfgenmsg,
} from './nf-tables-h';

/** One rule's queue. */
export interface QueueRule {
  family: string;
  table: string;
  chain: string;
  /** nft's own expression, or iptables' target. */
  by: 'queue' | 'xt';
  /** The first queue number, and how many numbers packets are spread over. */
  number: number;
  total: number;
  /** NFT_QUEUE_FLAG_BYPASS is 1 in both ways of saying it. */
  flags: number;
}

/** @returns every rule of the namespace that queues packets, in the kernel's order; -1 where the packet decides the number */
export function queueRules(netfilter: NetlinkSocket): QueueRule[] {
  const found: QueueRule[] = [];
  const request = (sequence: number) =>
    message((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG.GETRULE, NLM_F.DUMP, sequence, nfgenmsg());
  for (const { payload } of netfilter.dump(request)) {
    if (!queueing.some((word) => payload.includes(word))) continue;
    const list = find(payload, NFTA_RULE.EXPRESSIONS, sizeofNfgenmsg);
    for (const { data } of list ? attributes(list) : []) {
      const queue = queueOf(textOf(find(data, NFTA_EXPR.NAME)), find(data, NFTA_EXPR.DATA) ?? Buffer.alloc(0));
      if (!queue) continue;
      const [table, chain] = [NFTA_RULE.TABLE, NFTA_RULE.CHAIN].map((name) =>
        textOf(find(payload, name, sizeofNfgenmsg)),
      );
      found.push({ family: families[payload[0] ?? 0] ?? '', table: table ?? '', chain: chain ?? '', ...queue });
    }
  }
  return found;
}

/** Without one of these names in it a rule queues nothing, and need not be taken apart. */
const queueing = ['queue\0', 'NFQUEUE\0'].map((word) => Buffer.from(word));

function queueOf(name: string, data: Buffer): Pick<QueueRule, 'by' | 'number' | 'total' | 'flags'> | null {
  if (name === 'queue') {
    const [number, total, flags] = [NFTA_QUEUE.NUM, NFTA_QUEUE.TOTAL, NFTA_QUEUE.FLAGS].map((type) => find(data, type));
    // Chosen by the packet, so that no one number says where it goes.
    if (!number) return { by: 'queue', number: -1, total: 0, flags: 0 };
    return {
      by: 'queue',
      number: number.readUInt16BE(0),
      total: total?.readUInt16BE(0) ?? 1,
      flags: flags?.readUInt16BE(0) ?? 0,
    };
  }
  const info = find(data, NFTA_TARGET.INFO);
  if (name !== 'target' || textOf(find(data, NFTA_TARGET.NAME)) !== 'NFQUEUE' || !info || info.length < 2) return null;
  // linux/netfilter/xt_NFQUEUE.h: struct xt_NFQ_info_v3 is queuenum, queues_total, flags, in host order.
  const at = (offset: number, otherwise: number) => (info.length >= offset + 2 ? info.readUInt16LE(offset) : otherwise);
  return { by: 'xt', number: at(0, 0), total: at(2, 1), flags: at(4, 0) };
}
