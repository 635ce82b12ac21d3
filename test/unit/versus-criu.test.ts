/** The pure parts of the bench that sets CRIU's lock beside a freeze: what a watch comes to, CRIU's log, the page. */
import { closedBy, readWatch } from '../../bench/criu/changes.mjs';
import { failureIn, lockIn } from '../../bench/criu/log.mjs';
import { introduction, section } from '../../bench/criu/page.mjs';

/** Two ways; tries are out1 in1 out2 in2 and so on, each a microsecond long. */
const watched = (changes: unknown[], captured: unknown[] = []) => ({
  ways: ['out4', 'in4'],
  turns: 100,
  late: 0,
  changes,
  captured: { out4: captured },
  uncaptured: 0,
});
const change = (turn: number, way: number, open: boolean) => [turn * 2 + way, turn, way, open];

describe('a watch', () => {
  test('of a lock in two steps: what passed in between, of all tries in between', () => {
    // After out10 was stopped, in10 to in13 passed; in14 is the first that did not.
    const two = watched([change(10, 0, false), change(14, 1, false), change(50, 0, true), change(50, 1, true)]);
    const { closing, opening, flips } = readWatch(two);
    expect(closing).toMatchObject({ first: 20, last: 29, tried: 8, passed: 4, passedBy: { out4: 0, in4: 4 } });
    expect(closing?.names).toEqual(['out4', 'in4']);
    expect(opening).toMatchObject({ tried: 0, passed: 0 });
    expect(flips).toBe(2);
  });

  test('of a lock in one moment, wherever in a turn it falls: nothing passed in between', () => {
    for (const closings of [
      [change(10, 0, false), change(10, 1, false)],
      [change(10, 1, false), change(11, 0, false)],
    ]) {
      const one = watched([...closings, change(50, 0, true), change(50, 1, true)]);
      expect(readWatch(one).closing).toMatchObject({ tried: 0, passed: 0 });
    }
  });

  test('of an opening in two steps: the way that was still closed did not pass', () => {
    const two = watched([change(10, 0, false), change(10, 1, false), change(50, 0, true), change(53, 1, true)]);
    expect(readWatch(two).opening).toMatchObject({ tried: 6, passed: 3, passedBy: { out4: 3, in4: 0 } });
  });

  test('of a late datagram: the short moment is no lock, and is counted as changes', () => {
    const late = [change(5, 0, false), change(6, 0, true)];
    const lock = [change(10, 0, false), change(10, 1, false), change(50, 0, true), change(50, 1, true)];
    const { closing, flips } = readWatch(watched([...late, ...lock]));
    expect(closing?.first).toBe(20);
    expect(flips).toBe(4);
  });

  test('of a lock that stays has no opening, and one of a half lock has no closing', () => {
    const stays = readWatch(watched([change(10, 0, false), change(10, 1, false)]));
    expect(stays.closing).not.toBeNull();
    expect(stays.opening).toBeNull();
    expect(readWatch(watched([change(10, 0, false)])).closing).toBeNull();
  });

  test('that tells what was closed at a kill: what was only late, or was closed afterwards, was not', () => {
    const late = [change(5, 0, false), change(6, 0, true)];
    expect(closedBy(watched(late), 10)).toBe(0);
    expect(closedBy(watched([...late, change(10, 0, false)]), 10)).toBe(0);
    expect(closedBy(watched([...late, change(10, 0, false)]), 20)).toBe(1);
    expect(closedBy(watched([change(10, 0, false), change(14, 1, false)]), 22)).toBe(1);
    expect(closedBy(watched([change(10, 0, false), change(14, 1, false)]), 29)).toBe(2);
  });

  test('counts on the wire only what went out in between, and at that time', () => {
    const inFirst = [change(10, 1, false), change(14, 0, false), change(50, 0, true), change(50, 1, true)];
    const captured = [
      [10, 20],
      [11, 22],
      [12, 24],
      // Held meanwhile, and let go on later.
      [13, 90],
      [51, 102],
    ];
    expect(readWatch(watched(inFirst, captured)).closing).toMatchObject({ passed: 3, captured: 2 });
  });
});

describe("CRIU's log", () => {
  const log = `(00.065878) cg: Set 1 is criu one
(00.067170) net: Lock network
(00.067174) Running network-lock scripts
(00.070786) \ttype proc source proc mnt_id 21
`;

  test('tells when the lock began and when the next thing was done', () => {
    expect(lockIn(log)).toEqual({ began: 67_170, ended: 70_786 });
  });

  test('without a lock, or that ends with it, tells nothing', () => {
    expect(lockIn('(00.000001) Version: 3.17.1\n')).toBeNull();
    expect(lockIn('(00.067170) Lock network\n')).toBeNull();
  });

  test.each([
    ['(00.086333) Error (criu/net.c:3436): net: Locking network failed: -1', 'Locking network failed: -1'],
    ['(00.08) 12: Error (criu/vdso.c:1): vdso: No VVAR', 'No VVAR'],
    ['Error (criu/util.c:642): execvp("x") failed: No such file', 'execvp("x") failed: No such file'],
  ])('%p: the first error in its words', (line, words) => {
    expect(failureIn(`(00.01) all is well\n${line}\n(00.09) Error (criu/cr-dump.c:1): Dumping FAILED.`)).toBe(words);
  });

  test('without an error', () => {
    expect(failureIn('(00.01) all is well\n')).toBeNull();
  });
});

describe('the section of the page', () => {
  const machine = { system: 'Debian', kernel: '6.1', criu: '3.17.1', nft: 'v1', cores: 2, load: '0.5' };
  const four = (number: number) => ({ out4: number, in4: number, out6: number, in6: number });
  const passed = { ...four(0), forwarded4: 9, forwarded6: 9, echo4: 0, echo6: 0, arp: 9, frames: 9 };
  const lock = (key: string, isOurs: boolean) => ({ key, name: `lock ${key}`, isOurs, left: { tried: 9, passed } });
  const span = (leaked: number) => ({
    first: 1000,
    last: 3000,
    tried: 10,
    passed: leaked,
    passedBy: { ...four(0), in4: leaked },
    captured: 0,
  });
  const moment = (key: string, leaked: number, toClosed: number) => ({
    lock: key,
    closing: span(leaked),
    opening: span(10),
    flips: 2,
    late: 0,
    uncaptured: 0,
    toClosed,
    took: 2 * toClosed,
    logToLock: key === 'nftables' ? 5000 : null,
    logLock: key === 'nftables' ? 700 : null,
  });
  const look = (seconds: number, open: string[]) => ({ seconds, after: seconds, open, tables: ['inet some'] });
  const kill = (key: string, isOurs: boolean, open: string[][]) => ({
    lock: key,
    isOurs,
    when: 'first',
    commandRuns: null,
    looks: [1, 35].map((seconds, index) => look(seconds, open[index] ?? [])),
    ...(isOurs ? { tablesAfterOff: [] } : {}),
  });
  const resume = (way: string, first: number | null, seconds = 3) => ({
    way,
    seconds,
    offTook: 200_000,
    offWentOn: 50_000,
    connections: ['out', 'in'].map((direction) => ({ direction, version: 4, first })),
  });
  const all = Object.keys(four(0));
  const reading = {
    machine,
    each: 2,
    together: true,
    discarded: 0,
    refused: [{ key: 'iptables', name: 'lock iptables', isOurs: false, said: 'no such program' }],
    available: [lock('nftables', false), lock('drop', true)],
    moments: [moment('nftables', 4, 30_000), moment('drop', 0, 60_000)],
    kills: [kill('nftables', false, [['in4'], ['in4']]), kill('drop', true, [[], all])],
    ways: [
      { key: 'nftables', name: 'lock nftables' },
      { key: 'kick', name: 'netfreeze drop' },
    ],
    resumes: [resume('nftables', 300_000), resume('kick', 3000)],
  };
  const written = section('A machine', reading).join('\n');

  test('has a row for each lock in each table, and no number that is none', () => {
    expect(written).toContain('| lock nftables | 0 of 1 | 2.0 ms | 2.0 ms | 4 of 10 |');
    expect(written).toContain('| lock drop | 1 of 1 | 2.0 ms | 2.0 ms | 0 of 10 |');
    expect(written).toContain('| lock nftables, as soon as one way was closed | 1 | 1 half | 1 half | 1 |');
    expect(written).toContain('| lock drop, as soon as one way was closed | 1 | 1 closed | 1 open | 1 |');
    expect(written).toContain('| lock nftables, 3 s | 300 ms | 300 ms | 150 ms |');
    expect([...introduction(), written].join('\n')).not.toMatch(/NaN|undefined|Infinity|null/);
  });

  test('says where CRIU is better, and only there', () => {
    const better = written.slice(written.indexOf('Where CRIU is better'));
    expect(better).toContain('until all is closed: 30 ms against 60 ms');
    expect(better).not.toContain('first byte');
  });

  test('says so for each length, and against each of the rows that it beats', () => {
    const ways = [...reading.ways, { key: 'plain', name: 'netfreeze drop, no kick' }];
    const resumes = [
      ...reading.resumes,
      resume('plain', 900_000),
      resume('nftables', 3_000_000, 10),
      resume('kick', 3000, 10),
      resume('plain', 9_000_000, 10),
    ];
    resumes[1] = { ...resume('kick', 400_000), offTook: 500_000 };
    const page = section('A machine', { ...reading, ways, resumes }).join('\n');
    const better = page.slice(page.indexOf('Where CRIU is better'));
    expect(better).toContain(
      '- first byte after 3 s, the namespace sends: 300 ms against 400 ms with netfreeze drop, 900 ms with netfreeze drop, no kick.',
    );
    expect(better).toContain(
      '- first byte after 10 s, the namespace receives: 3.0 s against 9.0 s with netfreeze drop, no kick.',
    );
    expect(better).toContain(
      '- from the call that opens to the opening, after 3 s: 150 ms against 450 ms with netfreeze drop.',
    );
    expect(better).not.toContain('the opening, after 10 s');
    expect(better).toContain('- the whole command: 60 ms against 120 ms with lock drop.');
    expect(better).not.toContain('first to last');
  });

  test('leaves looks out that came late, and tells how many came in time, and how many kills were done again', () => {
    expect(written).toContain('4 of 4 looks came in time');
    expect(written).not.toContain('done again');
    const [theirs, ours] = [kill('nftables', false, [['in4'], ['in4']]), kill('drop', true, [[], all])];
    theirs.looks[1] = { ...look(35, all), after: 40.5 };
    const late = section('A machine', { ...reading, discarded: 3, kills: [theirs, ours] }).join('\n');
    expect(late).toContain('3 of 4 looks came in time');
    expect(late).toContain(
      '| lock nftables, as soon as one way was closed | 1 | 1 half | no look in time | no look in time |',
    );
    expect(late).toContain('- 3 kills came before');
  });

  test('says whether all resume at once', () => {
    expect(written).toContain('at the same time on the 2 cores of this machine');
    const apart = section('A machine', { ...reading, together: false }).join('\n');
    expect(apart).toContain('One way is opened after the other.');
  });

  test('says what could not be measured, and why', () => {
    expect(written).toContain('Not measured: lock iptables (it said: no such program).');
    const none = section('A machine', { ...reading, available: [lock('drop', true)] }).join('\n');
    expect(none).toContain('no such program');
    expect(none).not.toContain('|');
  });
});
