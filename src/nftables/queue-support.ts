/** Which way to NFQUEUE this kernel has, tried in a transaction that is not made. */
import { attribute, NLM_F, nested, stringAttribute } from '../netlink/message';
import type { NetlinkSocket } from '../netlink/socket';
import { isErrno } from '../platform/libc';
import { type Change, rehearseChanges } from './batch';
import { NFT_MSG, NFTA_CHAIN, NFTA_HOOK, NFTA_RULE, NFTA_TABLE } from './nf-tables-h';
import { queueExpression, xtQueueExpression } from './replay';

/** nft's own `queue`, or iptables' NFQUEUE as a raw expression. */
export type QueueSupport = 'queue' | 'xt';

/**
 * @param netfilter a socket of an empty namespace
 * @returns the way that this kernel has, nft's own before the other; null: neither
 */
export function queueSupport(netfilter: NetlinkSocket): QueueSupport | null {
  if (takes(netfilter, queueExpression(0), 'inet')) return 'queue';
  if (takes(netfilter, xtQueueExpression(0), 'inet')) return 'xt';
  // The kernel loads iptables' targets when they are used in an IPv4 table, but not in one of both families.
  if (takes(netfilter, xtQueueExpression(0), 'ip') && takes(netfilter, xtQueueExpression(0), 'inet')) return 'xt';
  return null;
}

function takes(netfilter: NetlinkSocket, expression: Buffer, family: 'inet' | 'ip'): boolean {
  const [table, chain] = ['probe', 'prerouting'];
  const flags = NLM_F.CREATE;
  const hook = nested(NFTA_CHAIN.HOOK, attribute(NFTA_HOOK.HOOKNUM, word(0)), attribute(NFTA_HOOK.PRIORITY, word(0)));
  const changes: Change[] = [
    { type: NFT_MSG.NEWTABLE, family, flags, attributes: [stringAttribute(NFTA_TABLE.NAME, table)] },
    {
      type: NFT_MSG.NEWCHAIN,
      family,
      flags,
      attributes: [
        stringAttribute(NFTA_CHAIN.TABLE, table),
        stringAttribute(NFTA_CHAIN.NAME, chain),
        hook,
        stringAttribute(NFTA_CHAIN.TYPE, 'filter'),
      ],
    },
    {
      type: NFT_MSG.NEWRULE,
      family,
      flags: flags | NLM_F.APPEND,
      attributes: [
        stringAttribute(NFTA_RULE.TABLE, table),
        stringAttribute(NFTA_RULE.CHAIN, chain),
        nested(NFTA_RULE.EXPRESSIONS, expression),
      ],
    },
  ];
  try {
    rehearseChanges(netfilter, changes);
    return true;
  } catch (error) {
    // ENOENT: no such expression, or no such target; EOPNOTSUPP: not in this family.
    if (isErrno(error, 'ENOENT', 'EOPNOTSUPP', 'EINVAL')) return false;
    throw error;
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value, 0);
  return bytes;
}
