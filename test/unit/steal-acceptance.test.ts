/** Templates for mode steal: what may queue, where to, and that a mode's template stops packets in no other way. */

import { attribute, nested, stringAttribute } from '../../src/netlink/message';
import type { NftDocument } from '../../src/nftables/json';
import { type QueueRule, queueRules } from '../../src/nftables/queue-rules';
import { acceptQueues, acceptRehearsal, acceptText } from '../../src/ruleset/acceptance';
import { loadTemplate, render } from '../../src/ruleset/template';
import { answer, fakeNetlink, GET, u32 } from './fake-netlink';
import { plans } from './plans';
import { drop, fromFriend, is, type Listed, onLease, rule, wholeFreezeBut, wholeHooks } from './rulesets';

const comment = 'netfreeze/1 steal mine';
const queue = { queue: { num: 61450 } };
/** As nft lists the raw expression of iptables' target. */
const xt = { xt: { type: 'target', name: 'NFQUEUE' } };
const numbers = { in: 61450, out: 61451 };

const objection = (document: NftDocument, mode: 'drop' | 'steal' = 'steal'): string | null =>
  acceptRehearsal(document, [...wholeHooks], mode, 'mine');

/** The freeze with freezing rules that end so; in prerouting perhaps with another rule. */
const stealing = (verdict: object, prerouting?: Listed, members: object = { comment }): NftDocument =>
  wholeFreezeBut((object) => {
    const chain = ['prerouting', 'output'].find((name) => is(object, 'rule', name));
    if (chain === undefined || object.rule?.comment === undefined) return object;
    if (chain === 'prerouting' && prerouting) return prerouting;
    const counter = { counter: chain === 'output' ? 'out' : 'in' };
    return rule(chain, [onLease, counter, verdict], members as Record<string, unknown>);
  });

describe('the rules', () => {
  test.each([
    ["nft's queue", queue],
    ["iptables' target", xt],
    ['a queue whose number nft leaves out', { queue: null }],
  ])('may say %s', (_, verdict) => {
    expect(objection(stealing(verdict))).toBeNull();
  });

  test('may not drop: what is dropped is not held', () => {
    expect(objection(stealing(drop))).toBe('a rule in chain "prerouting" has a "drop", which has no place in a freeze');
    const also = [rule('output', [onLease, drop], { comment })];
    const document = stealing(queue);
    expect(objection({ nftables: [...document.nftables, ...(also as never[])] })).toContain('has a "drop"');
  });

  test.each([
    ['queue', queue],
    ['xt', xt],
  ])('may not queue in a freeze that drops: %s', (statement, verdict) => {
    const members = { comment: 'netfreeze/1 drop mine' };
    expect(objection(stealing(verdict, undefined, members), 'drop')).toContain(`has a "${statement}"`);
  });

  test.each([
    ['queue', queue],
    ['xt', xt],
  ])('must ask the lease: %s', (statement, verdict) => {
    expect(objection(stealing(queue, rule('prerouting', [{ counter: 'in' }, verdict], { comment })))).toBe(
      `a rule in chain "prerouting" says ${statement} without asking "@lease": it would not end with the lease`,
    );
    expect(objection(stealing(queue, rule('prerouting', [fromFriend, verdict], { comment })))).toContain(
      'without asking "@lease"',
    );
  });

  test('must hold every packet, not only those of somebody', () => {
    expect(objection(stealing(queue, rule('prerouting', [onLease, fromFriend, queue], { comment })))).toContain(
      'has no freezing rule',
    );
  });

  test.each(['netfreeze/1 drop mine', 'netfreeze/1 steal other', ''])('must have their comment, not %j', (other) => {
    expect(objection(stealing(queue, rule('prerouting', [onLease, queue], { comment: other })))).toBe(
      'the freezing rule in chain "prerouting" must have the comment {{comment}}',
    );
  });
});

describe('the queues', () => {
  const to = (chain: string, number: number, members: Partial<QueueRule> = {}): QueueRule => ({
    family: 'inet',
    table: 'netfreeze',
    chain,
    by: 'xt',
    number,
    total: 1,
    flags: 0,
    ...members,
  });
  const whole = [to('prerouting', numbers.in), to('output', numbers.out)];

  test('of the plan, one for each direction', () => {
    expect(acceptQueues(whole, numbers)).toBeNull();
    expect(acceptQueues([...whole, to('prerouting', numbers.in), to('friends', numbers.in)], numbers)).toBeNull();
  });

  test.each([
    ['another number', to('prerouting', 7), 'queues to 7, not to {{queueIn}} or {{queueOut}}'],
    ["the other direction's", to('output', numbers.in), 'queues to 61450, not to'],
    ["the other direction's", to('prerouting', numbers.out), 'queues to 61451, not to'],
    ['another number in a chain of its own', to('friends', 7), 'a rule in chain "friends" queues to 7'],
    ['bypass', to('output', numbers.out, { flags: 1 }), 'queues with flags: what is not held must not pass'],
    ['fanout', to('output', numbers.out, { flags: 2 }), 'queues with flags'],
    ['several queues', to('prerouting', numbers.in, { total: 2 }), 'spreads packets over several queues'],
  ])('not with %s', (_, added, why) => {
    expect(acceptQueues([...whole, added], numbers)).toContain(why);
  });
});

describe('the queues that the kernel shows', () => {
  const short = (value: number) => Buffer.from([value >> 8, value & 0xff]);
  const hostShorts = (...values: number[]) =>
    Buffer.concat(values.map((value) => Buffer.from([value & 0xff, value >> 8])));
  const expression = (name: string, ...data: Buffer[]) => nested(1, stringAttribute(1, name), nested(2, ...data));
  const target = (name: string, info: Buffer) =>
    expression('target', stringAttribute(1, name), attribute(2, u32(3)), attribute(3, info));
  const inChain = (chain: string, ...expressions: Buffer[]) =>
    answer('inet', stringAttribute(1, 'netfreeze'), stringAttribute(2, chain), nested(4, ...expressions));
  const shown = (...expressions: Buffer[]) =>
    queueRules(fakeNetlink({ [GET.RULE]: [inChain('output', ...expressions)] }));
  const found = { family: 'inet', table: 'netfreeze', chain: 'output' };

  test("by nft's own expression", () => {
    expect(shown(expression('queue', attribute(1, short(61450)), attribute(2, short(1))))).toEqual([
      { ...found, by: 'queue', number: 61450, total: 1, flags: 0 },
    ]);
    const range = expression('queue', attribute(1, short(7)), attribute(2, short(3)), attribute(3, short(1)));
    expect(shown(range)).toEqual([{ ...found, by: 'queue', number: 7, total: 3, flags: 1 }]);
  });

  test("by iptables' target, of any revision", () => {
    expect(shown(target('NFQUEUE', hostShorts(61451, 1, 0, 0)))).toEqual([
      { ...found, by: 'xt', number: 61451, total: 1, flags: 0 },
    ]);
    expect(shown(target('NFQUEUE', hostShorts(9)))).toEqual([{ ...found, by: 'xt', number: 9, total: 1, flags: 0 }]);
    expect(shown(target('NFQUEUE', hostShorts(9, 2, 1)))).toMatchObject([{ total: 2, flags: 1 }]);
  });

  test('among other expressions, and none in rules without', () => {
    const counter = expression('counter');
    expect(shown(counter, target('NFQUEUE', hostShorts(1, 1, 0)), counter)).toHaveLength(1);
    expect(shown(counter, target('MARK', hostShorts(1, 1, 0)), target('NFQUEUE', Buffer.alloc(1)))).toEqual([]);
    expect(queueRules(fakeNetlink({ [GET.RULE]: [answer('inet', stringAttribute(1, 'netfreeze'))] }))).toEqual([]);
  });
});

test('the template that comes with netfreeze is text that a person could bring', async () => {
  const plan = plans['steal-everything'];
  if (!plan) throw new Error('no such plan');
  expect(acceptText(render(await loadTemplate('steal'), plan))).toBeNull();
});
