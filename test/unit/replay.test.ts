/** Taking a table down and making it again, on what a kernel dumped: fixtures/nf-tables, recorded by record.sh. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { attributes, find, type Message, NLM_F, textOf, uint32, uint64 } from '../../src/netlink/message';
import type { NetlinkSocket } from '../../src/netlink/socket';
import type { Change } from '../../src/nftables/batch';
import { type Dump, NotReplayable, readDump } from '../../src/nftables/dump';
import {
  NFT_MSG,
  NFTA_CHAIN,
  NFTA_OBJ,
  NFTA_RULE,
  NFTA_SET,
  NFTA_SET_ELEM,
  NFTA_SET_ELEM_LIST,
  NFTA_TABLE,
} from '../../src/nftables/nf-tables-h';
import { queueRules } from '../../src/nftables/queue-rules';
import { queueExpression, type Recording, recordingOf, withQueues, xtQueueExpression } from '../../src/nftables/replay';
import { fakeNetlink } from './fake-netlink';

interface Dumps {
  tables: string[];
  chains: string[];
  sets: string[];
  objects: string[];
  rules: string[];
  elements: Record<string, string[]>;
}

const dumps = (name: string): Dumps =>
  JSON.parse(readFileSync(join(__dirname, 'fixtures/nf-tables', `${name}.json`), 'utf8')) as Dumps;

const messagesOf = (payloads: string[] = []): Message[] =>
  payloads.map((hex) => ({ type: 0, flags: NLM_F.MULTI, sequence: 1, payload: Buffer.from(hex, 'hex') }));

/** A kernel that shows what was recorded. */
function kernelWith({ tables, chains, sets, objects, rules, elements }: Dumps): NetlinkSocket {
  const kernel = fakeNetlink({
    [NFT_MSG.GETTABLE]: messagesOf(tables),
    [NFT_MSG.GETCHAIN]: messagesOf(chains),
    [NFT_MSG.GETSET]: messagesOf(sets),
    [NFT_MSG.GETOBJ]: messagesOf(objects),
    [NFT_MSG.GETRULE]: messagesOf(rules),
    [NFT_MSG.GETSETELEM]: () => {
      const asked = kernel.asked.at(-1)?.payload ?? Buffer.alloc(0);
      expect(textOf(find(asked, NFTA_SET_ELEM_LIST.TABLE, 4))).toBe('netfreeze');
      return messagesOf(elements[textOf(find(asked, NFTA_SET_ELEM_LIST.SET, 4))]);
    },
  });
  return kernel;
}

const dumped = (name: string) => readDump(kernelWith(dumps(name)), 'netfreeze') as Dump;
const taken = (): Recording => recordingOf(dumped('marks'), 'netfreeze');

/** One attribute of a change. */
const of = ({ attributes: parts }: Change, type: number): Buffer | undefined => find(Buffer.concat(parts), type);
const ofType = (changes: Change[], type: number): Change[] => changes.filter((change) => change.type === type);
const names = (changes: Change[], attribute: number): string[] =>
  changes.map((change) => textOf(of(change, attribute)));
/** All attributes of changes, but for the mark of nested ones, which the kernel sets on some and we on others. */
const bytes = (changes: Change[]): string[] =>
  changes.map((change) =>
    [...attributes(Buffer.concat(change.attributes))]
      .map(({ type, data }) => `${type}:${data.toString('hex')}`)
      .join(' '),
  );

describe('a table that was taken down', () => {
  test('is declared in an order in which each thing knows what it names, and nothing of another table with it', () => {
    const { frame } = taken();
    expect(frame.map(({ type }) => type)).toEqual([
      NFT_MSG.NEWTABLE,
      ...[NFT_MSG.NEWCHAIN, NFT_MSG.NEWCHAIN],
      ...[NFT_MSG.NEWSET, NFT_MSG.NEWSET, NFT_MSG.NEWSET],
      ...[NFT_MSG.NEWOBJ, NFT_MSG.NEWOBJ],
    ]);
    expect(names(ofType(frame, NFT_MSG.NEWTABLE), NFTA_TABLE.NAME)).toEqual(['netfreeze']);
    expect(names(ofType(frame, NFT_MSG.NEWCHAIN), NFTA_CHAIN.NAME)).toEqual(['prerouting', 'output']);
    expect(names(ofType(frame, NFT_MSG.NEWSET), NFTA_SET.NAME)).toEqual(['lease', 'friends', 'nobody']);
    expect(names(ofType(frame, NFT_MSG.NEWOBJ), NFTA_OBJ.NAME)).toEqual(['in', 'out']);
    for (const change of frame) expect(change).toMatchObject({ family: 'inet', flags: NLM_F.CREATE });
    for (const change of frame.slice(1)) expect(textOf(of(change, 1))).toBe('netfreeze');
  });

  test('has no handles, no counts of uses and no places, which the kernel gives itself', () => {
    const { frame, rules } = taken();
    const own: Array<[type: number, attributes: number[]]> = [
      [NFT_MSG.NEWTABLE, [NFTA_TABLE.HANDLE, NFTA_TABLE.USE]],
      [NFT_MSG.NEWCHAIN, [NFTA_CHAIN.HANDLE, NFTA_CHAIN.USE, NFTA_CHAIN.COUNTERS, NFTA_CHAIN.ID]],
      [NFT_MSG.NEWSET, [NFTA_SET.HANDLE, NFTA_SET.TYPE, NFTA_SET.COUNT]],
      [NFT_MSG.NEWOBJ, [NFTA_OBJ.HANDLE, NFTA_OBJ.USE]],
      [NFT_MSG.NEWRULE, [NFTA_RULE.HANDLE, NFTA_RULE.POSITION]],
    ];
    for (const [type, unwanted] of own) {
      const changes = ofType([...frame, ...rules], type);
      expect(changes).not.toEqual([]);
      for (const attribute of unwanted) {
        expect(changes.map((change) => of(change, attribute))).toEqual(changes.map(() => undefined));
      }
    }
  });

  test('keeps all else as it was dumped, byte by byte', () => {
    const { sets, rules } = dumps('marks');
    const recorded = [...sets, ...rules].map((hex) => Buffer.from(hex, 'hex'));
    const recording = taken();
    const changes = [...ofType(recording.frame, NFT_MSG.NEWSET), ...recording.rules];
    expect(changes).toHaveLength(recorded.length);
    for (const [at, payload] of recorded.entries()) {
      const kept = [...attributes(Buffer.concat(changes[at]?.attributes ?? []))].filter(
        ({ type }) => type !== NFTA_SET.ID || at >= sets.length,
      );
      const types = kept.map(({ type }) => type);
      const dumped = [...attributes(payload, 4)].filter(({ type }) => types.includes(type));
      expect(kept).toEqual(dumped);
    }
  });

  test('each set has a number of its own', () => {
    expect(ofType(taken().frame, NFT_MSG.NEWSET).map((set) => uint32(of(set, NFTA_SET.ID)))).toEqual([1, 2, 3]);
  });

  test('counters begin at nothing, whatever they had counted', () => {
    const counted = dumps('marks').objects.map((hex) => find(Buffer.from(hex, 'hex'), NFTA_OBJ.DATA, 4) ?? Buffer.of());
    expect(counted.map((data) => uint64(find(data, 2)))).toContain(2n);
    for (const object of ofType(taken().frame, NFT_MSG.NEWOBJ)) expect(of(object, NFTA_OBJ.DATA)).toHaveLength(0);
  });

  test('is flushed: every chain and every set, and nothing is deleted', () => {
    const { flush } = taken();
    const [rules, elements] = [ofType(flush, NFT_MSG.DELRULE), ofType(flush, NFT_MSG.DELSETELEM)];
    expect(rules.length + elements.length).toBe(flush.length);
    expect(names(rules, NFTA_RULE.CHAIN)).toEqual(['prerouting', 'output']);
    expect(names(elements, NFTA_SET_ELEM_LIST.SET)).toEqual(['lease', 'friends', 'nobody']);
    expect(rules.map((change) => of(change, NFTA_RULE.HANDLE))).toEqual([undefined, undefined]);
    expect(elements.map((change) => of(change, NFTA_SET_ELEM_LIST.ELEMENTS))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('its rules are added at the end, in their order', () => {
    const { rules } = taken();
    expect(names(rules, NFTA_RULE.CHAIN)).toEqual(['prerouting', 'prerouting', 'output', 'output']);
    for (const rule of rules) expect(rule.flags).toBe(NLM_F.CREATE | NLM_F.APPEND);
  });

  test('that is not there is nothing', () => {
    expect(readDump(kernelWith(dumps('marks')), 'nosuch')).toBeNull();
  });

  test('with an anonymous set is refused, and that set is named', () => {
    const take = () => recordingOf(dumped('anonymous-set'), 'netfreeze');
    expect(take).toThrow(NotReplayable);
    expect(take).toThrow('the anonymous set __set0');
  });
});

describe('the elements of its sets', () => {
  const itemsOf = (changes: Change[], set: string): Buffer[] => {
    const [change, ...more] = changes.filter((one) => textOf(of(one, NFTA_SET_ELEM_LIST.SET)) === set);
    expect(more).toEqual([]);
    const list = change && of(change, NFTA_SET_ELEM_LIST.ELEMENTS);
    return list ? [...attributes(list)].map(({ data }) => data) : [];
  };
  const times = (changes: Change[], set: string) =>
    itemsOf(changes, set).map((item) =>
      [NFTA_SET_ELEM.TIMEOUT, NFTA_SET_ELEM.EXPIRATION].map((type) => uint64(find(item, type)) ?? null),
    );
  const friends = (changes: Change[]) => itemsOf(changes, 'friends').map((item) => item.toString('hex'));

  test('have their times in full, and no end that the kernel was near to', () => {
    const changes = taken().elements('lease', undefined);
    // 30 s, as jiffies have it.
    expect(times(changes, 'lease')).toEqual([
      [30_000n, null],
      [30_000n, null],
    ]);
    expect(
      times(changes, 'friends')
        .flat()
        .every((time) => time === null),
    ).toBe(true);
    expect(names(changes, NFTA_SET_ELEM_LIST.SET)).toEqual(['lease', 'friends']);
    for (const change of changes) expect(change).toMatchObject({ type: NFT_MSG.NEWSETELEM, flags: NLM_F.CREATE });
  });

  test('are given another time and end, in one set only', () => {
    const { elements } = taken();
    const changes = elements('lease', { timeoutMs: 60_000, expiresMs: 1234.9 });
    expect(times(changes, 'lease')).toEqual([
      [60_000n, 1234n],
      [60_000n, 1234n],
    ]);
    expect(friends(changes)).toEqual(friends(elements('lease', undefined)));
    // An end that is over is the next one possible: none at all would be an end in full.
    expect(times(elements('lease', { timeoutMs: 5, expiresMs: 0 }), 'lease')[0]).toEqual([5n, 1n]);
  });

  test('are given no end', () => {
    const changes = taken().elements('lease', null);
    expect(times(changes, 'lease')).toEqual([
      [null, null],
      [null, null],
    ]);
    const keys = itemsOf(changes, 'lease').map((item) => find(find(item, NFTA_SET_ELEM.KEY) ?? Buffer.of(), 1));
    // linux/netfilter.h: NFPROTO_IPV4, NFPROTO_IPV6
    expect(keys.map((key) => key?.[0]).sort()).toEqual([10, 2]);
  });
});

describe('queues in place of marks', () => {
  /** What the kernel would show of these rules' queues. */
  const queuesIn = ({ rules }: Recording) =>
    queueRules(
      fakeNetlink({
        [NFT_MSG.GETRULE]: rules.map(({ attributes: parts }) => ({
          type: 0,
          flags: 0,
          sequence: 1,
          payload: Buffer.concat([Buffer.from([1, 0, 0, 0]), ...parts]),
        })),
      }),
    );
  const queue = { family: 'inet', table: 'netfreeze', by: 'xt', total: 1, flags: 0 };

  test('for the given numbers only', () => {
    expect(queuesIn(taken())).toEqual([]);
    expect(queuesIn(withQueues(taken(), [61450, 61451]))).toEqual([
      { ...queue, chain: 'prerouting', number: 61450 },
      { ...queue, chain: 'output', number: 61451 },
    ]);
    expect(queuesIn(withQueues(taken(), [61451]))).toEqual([{ ...queue, chain: 'output', number: 61451 }]);
    expect(queuesIn(withQueues(taken(), [7, 8]))).toEqual([{ ...queue, chain: 'output', number: 7 }]);
  });

  test('a rule without one of them stays as it was, byte by byte, and so does all else', () => {
    const [before, after] = [taken(), withQueues(taken(), [61450, 61451])];
    expect(bytes(withQueues(before, []).rules)).toEqual(bytes(before.rules));
    expect(bytes(after.frame)).toEqual(bytes(before.frame));
    expect(bytes(after.flush)).toEqual(bytes(before.flush));
    expect(bytes(after.elements('lease', null))).toEqual(bytes(before.elements('lease', null)));
    const [accepting, , other] = bytes(before.rules);
    expect([bytes(after.rules)[0], bytes(after.rules)[2]]).toEqual([accepting, other]);
  });

  test('the rest of a rule stays: what it asks, its counter, its comment', () => {
    const expressions = ({ rules }: Recording) =>
      [...attributes(of(rules[1] as Change, NFTA_RULE.EXPRESSIONS) ?? Buffer.of())].map(({ data }) =>
        data.toString('hex'),
      );
    const [before, after] = [expressions(taken()), expressions(withQueues(taken(), [61450]))];
    expect(before).toHaveLength(5);
    expect(after).toEqual([...before.slice(0, 3), xtQueueExpression(61450).subarray(4).toString('hex')]);
    const comment = ({ rules }: Recording) => of(rules[1] as Change, NFTA_RULE.USERDATA)?.toString();
    expect(comment(withQueues(taken(), [61450]))).toBe(comment(taken()));
    expect(comment(taken())).toContain('netfreeze/1 steal steal');
  });

  test.each([0, 7, 61450, 65535])('both ways of saying queue %d are read as that one queue', (number) => {
    const shown = (expression: Buffer) =>
      queuesIn({ ...taken(), rules: [{ ...(taken().rules[0] as Change), attributes: [ruleWith(expression)] }] });
    const ruleWith = (expression: Buffer): Buffer => {
      const header = Buffer.alloc(4);
      header.writeUInt16LE(4 + expression.length, 0);
      header.writeUInt16LE(NFTA_RULE.EXPRESSIONS, 2);
      return Buffer.concat([header, expression]);
    };
    expect(shown(queueExpression(number))).toMatchObject([{ by: 'queue', number, total: 1, flags: 0 }]);
    expect(shown(xtQueueExpression(number))).toMatchObject([{ by: 'xt', number, total: 1, flags: 0 }]);
  });
});
