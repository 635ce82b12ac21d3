/** Which way to NFQUEUE a kernel has: tried in a transaction that is never made. */
import { find, type Message, messages, textOf } from '../../src/netlink/message';
import type { NetlinkSocket } from '../../src/netlink/socket';
import { NFNL_MSG_BATCH, NFT_MSG, NFTA_EXPR, NFTA_RULE } from '../../src/nftables/nf-tables-h';
import { queueSupport } from '../../src/nftables/queue-support';
import { fakeNetlink } from './fake-netlink';

/** A kernel that answers to a rule with one of these expressions with an error. */
function kernelWithout(missing: Record<string, string>): NetlinkSocket & { batches: Message[][] } {
  const batches: Message[][] = [];
  return {
    ...fakeNetlink({}),
    batches,
    batch(requests) {
      const sent = [...messages(Buffer.concat(requests.map((request, index) => request(index + 1))))];
      batches.push(sent);
      const code = missing[expressionIn(sent)];
      if (code !== undefined) throw Object.assign(new Error(code), { code });
    },
  };
}

function expressionIn(sent: Message[]): string {
  const rule = sent.find(({ type }) => (type & 0xff) === NFT_MSG.NEWRULE && type >> 8 === 10);
  const list = rule && find(rule.payload, NFTA_RULE.EXPRESSIONS, 4);
  return textOf(find(list?.subarray(4) ?? Buffer.alloc(0), NFTA_EXPR.NAME));
}

test("nft's own before iptables', which is then not tried", () => {
  const kernel = kernelWithout({});
  expect(queueSupport(kernel)).toBe('queue');
  expect(kernel.batches.map(expressionIn)).toEqual(['queue']);
});

// ENOENT: the kernel has no such expression, and no module of that name.
test.each(['ENOENT', 'EOPNOTSUPP', 'EINVAL'])("iptables' where nft's is answered with %s", (code) => {
  const kernel = kernelWithout({ queue: code });
  expect(queueSupport(kernel)).toBe('xt');
  expect(kernel.batches.map(expressionIn)).toEqual(['queue', 'target']);
});

test('neither', () => {
  expect(queueSupport(kernelWithout({ queue: 'ENOENT', target: 'ENOENT' }))).toBeNull();
});

test("iptables' module is loaded by using it for IPv4, and asked for again", () => {
  const missing: Record<string, string> = { queue: 'ENOENT', target: 'ENOENT' };
  const kernel = kernelWithout(missing);
  const families: number[] = [];
  const batch = kernel.batch;
  kernel.batch = (requests) => {
    const [, table] = [...messages(Buffer.concat(requests.map((request, index) => request(index + 1))))];
    families.push(table?.payload[0] ?? -1);
    if (families.at(-1) === 2) delete missing.target;
    return batch(requests);
  };
  expect(queueSupport(kernel)).toBe('xt');
  // linux/netfilter.h: NFPROTO_INET and NFPROTO_IPV4.
  expect(families).toEqual([1, 1, 2, 1]);
});

test.each(['EPERM', 'ENOMEM', 'ETIMEDOUT'])('%s says nothing of what the kernel has, and is thrown', (code) => {
  expect(() => queueSupport(kernelWithout({ queue: code }))).toThrow(code);
  expect(() => queueSupport(kernelWithout({ queue: 'ENOENT', target: code }))).toThrow(code);
});

test('nothing is made: the transaction has a beginning and no end', () => {
  const kernel = kernelWithout({ queue: 'ENOENT' });
  queueSupport(kernel);
  for (const [first, ...rest] of kernel.batches) {
    expect(first?.type).toBe(NFNL_MSG_BATCH.BEGIN);
    expect(rest.map(({ type }) => type)).not.toContain(NFNL_MSG_BATCH.END);
    expect(rest.map(({ type }) => type & 0xff)).toEqual([NFT_MSG.NEWTABLE, NFT_MSG.NEWCHAIN, NFT_MSG.NEWRULE]);
  }
});
