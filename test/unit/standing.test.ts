/** What stands under our name as the kernel shows it, and the way back from a freeze, on prepared answers of the kernel. */
import type { Site } from '../../src/freeze/machine';
import { readStanding } from '../../src/freeze/state/standing';
import { rollBack } from '../../src/freeze/steps/rollback';
import { attribute, type Message, nested, stringAttribute } from '../../src/netlink/message';
import { NftRefusal } from '../../src/nftables/engine';
import { SystemError } from '../../src/platform/libc';
import { failureOf } from './failures';
import { answer, fakeNetlink, GET, u32, u64 } from './fake-netlink';

const noState = { stateDirectory: '/nonexistent' };
const ours = stringAttribute(1, 'netfreeze');
const table = answer('inet', ours);
const commented = (text: string) =>
  answer('inet', ours, attribute(7, Buffer.concat([Buffer.from([0, text.length + 1]), Buffer.from(`${text}\0`)])));
const lease = answer('inet', ours, stringAttribute(2, 'lease'));
const element = (times?: { timeoutMs: number; expiresMs: number }) =>
  answer(
    'inet',
    nested(
      3,
      nested(
        1,
        nested(1, attribute(1, u32(2))),
        ...(times ? [attribute(4, u64(BigInt(times.timeoutMs))), attribute(5, u64(BigInt(times.expiresMs)))] : []),
      ),
    ),
  );
const counter = (name: string, packets: bigint) =>
  answer(
    'inet',
    ours,
    stringAttribute(2, name),
    attribute(3, u32(1)),
    nested(4, attribute(1, u64(packets * 64n)), attribute(2, u64(packets))),
  );

const siteWith = (answers: Parameters<typeof fakeNetlink>[0], commit?: (changes: Message[]) => void): Site => ({
  namespace: { fd: -1, device: 4, inode: 1 },
  netfilter: fakeNetlink(answers, commit),
  route: fakeNetlink({}),
  session: async () => ({
    load: () => Promise.reject(new Error('nothing is asked of nft')),
    listJson: async () => [],
    listText: async () => '',
    close() {},
  }),
  replays: true,
  close() {},
});

describe('what stands', () => {
  test('nothing, without a table of our name', () => {
    expect(readStanding(siteWith({ [GET.TABLE]: [answer('inet', stringAttribute(1, 'filter'))] }))).toBeNull();
  });

  test('a freeze, by its comment, with its counters', () => {
    const site = siteWith({
      [GET.TABLE]: [table],
      [GET.RULE]: [commented('allowed'), commented('netfreeze/1 drop mine')],
      [GET.SET]: [lease],
      [GET.SETELEM]: [element()],
      [GET.OBJ]: [counter('in', 3n), counter('out', 5n), counter('else', 7n)],
    });
    expect(readStanding(site)).toMatchObject({
      families: ['inet'],
      freezing: { mode: 'drop', template: 'mine' },
      lease: { state: 'endless' },
      hasLeaseSet: true,
      isFlagged: false,
      counters: { in: { packets: 3, bytes: 192 }, out: { packets: 5, bytes: 320 } },
    });
  });

  test('a table of our name that is perhaps not ours', () => {
    const answers = { [GET.TABLE]: [table], [GET.SET]: [lease], [GET.RULE]: [commented('by hand')] };
    expect(readStanding(siteWith(answers))).toMatchObject({
      families: ['inet'],
      freezing: null,
      lease: { state: 'ended' },
      hasLeaseSet: true,
      isFlagged: false,
      counters: { in: { packets: 0, bytes: 0 }, out: { packets: 0, bytes: 0 } },
    });
  });

  const times = (expiresMs: number, timeoutMs = 30_000) => element({ timeoutMs, expiresMs });
  test.each<[what: string, elements: ReturnType<typeof element>[], lease: object]>([
    ['no element', [], { state: 'ended' }],
    ['elements that stay', [element(), element()], { state: 'endless' }],
    ['one that stays and one that goes', [times(9000), element()], { state: 'endless' }],
    ['elements that go', [times(9000), times(9000)], { state: 'running', timeoutMs: 30_000, expiresMs: 9000 }],
    [
      'the one that goes first tells',
      [times(9000), times(8998)],
      { state: 'running', timeoutMs: 30_000, expiresMs: 8998 },
    ],
    ['at the very end', [times(0), times(1)], { state: 'ended' }],
  ])('a lease: %s', (_, elements, expected) => {
    const site = siteWith({ [GET.TABLE]: [table], [GET.SET]: [lease], [GET.SETELEM]: elements });
    expect(readStanding(site)?.lease).toMatchObject(expected);
  });
});

describe('going back to nothing', () => {
  /** A kernel with our table, until it is deleted. */
  function withTables(commit: (remove: () => void) => void) {
    const made: string[][] = [];
    let tables = [answer('netdev', ours), table];
    const site = siteWith({ [GET.TABLE]: () => tables, [GET.SET]: [lease] }, (changes) => {
      made.push(changes.map(({ type, payload }) => `${type & 0xff} ${payload[0]}`));
      commit(() => {
        tables = [];
      });
    });
    return { site, made };
  }

  test('where nothing stands, nothing is done', async () => {
    const commit = jest.fn();
    expect(await rollBack(siteWith({}, commit), 'netns:web', null, noState)).toBe('no freeze stands, as before');
    expect(commit).not.toHaveBeenCalled();
  });

  test('our tables are deleted in one transaction, nobody else’s', async () => {
    const { site, made } = withTables((remove) => remove());
    expect(await rollBack(site, 'netns:web', null, noState)).toBe('no freeze stands, as before');
    // The lease first: the hooks of a table go one by one, and each drops until it is gone.
    const [DELSETELEM, DELTABLE] = [14, 2];
    expect(made).toEqual([[`${DELSETELEM} 1`, `${DELSETELEM} 5`, `${DELTABLE} 1`, `${DELTABLE} 5`]]);
  });

  test('tables that still stand need a person', async () => {
    const { site } = withTables(() => {});
    const failure = await failureOf(() => rollBack(site, 'netns:web', null, noState));
    expect(failure).toMatchObject({ code: 'rollback-failed', exit: 7 });
    expect(failure.message).toContain('table inet netfreeze, netdev netfreeze still stands');
    expect(failure.suggestions.join()).toContain('netfreeze off netns:web');
  });

  test('so does a refusal', async () => {
    const { site } = withTables(() => {
      throw new SystemError('netlink', 16);
    });
    const failure = await failureOf(() => rollBack(site, 'netns:web', null, noState));
    expect(failure).toMatchObject({ code: 'rollback-failed', exit: 7 });
    expect(failure.message).toContain('resource busy or locked (EBUSY)');
    expect(failure.cause).toBeInstanceOf(SystemError);
  });

  test('an earlier freeze whose lease has ended meanwhile is not brought back', async () => {
    const { site, made } = withTables((remove) => remove());
    const state = { objects: [], hooks: [], queues: [], lease: [], listing: '' };
    const ended = { state: 'running', timeoutMs: 1000, expiresMs: 500, untilMs: 0 } as const;
    const before = { state, lease: ended, recording: null, at: performance.now() - 5000 };
    expect(await rollBack(site, 'netns:web', before, noState)).toBe('thawed: the earlier freeze had come to its end');
    expect(made).toHaveLength(1);
  });
});

describe('a refusal of nft', () => {
  test('shows the text with the numbers that its messages count', () => {
    const refusal = new NftRefusal('/dev/fd/4:2:1-3: Error: syntax error\nfoo\n^^^\nmore\n', 'table x\nfoo\n');
    expect(refusal.message).toBe('/dev/fd/4:2:1-3: Error: syntax error foo ^^^');
    expect(refusal.numberedText).toBe('   1  table x\n   2  foo\n   3  ');
    expect(new NftRefusal('', '').message).toBe('nft failed without a word');
  });
});
