/** The lab's pure parts: numbers, scales, what the notes of a trial come to, the tables and the picture. */
import { page } from '../../bench/lab/page.mjs';
import { picture } from '../../bench/lab/picture.mjs';
import { caughtUpAt, read } from '../../bench/lab/readings.mjs';
import { decades, logScale, spread } from '../../bench/lab/scale.mjs';
import { median, medianTime, span, time } from '../../bench/lab/statistics.mjs';
import { element } from '../../bench/lab/svg.mjs';
import { passageTable, resumeTable, silentOnes, survivalTable } from '../../bench/lab/tables.mjs';

describe('numbers', () => {
  test('the median of an odd and of an even number of values', () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
  });

  test('what never came is later than all that came', () => {
    expect(medianTime([1000, null, 2000])).toBe(2000);
    expect(medianTime([1000, null, null])).toBe(Infinity);
  });

  test.each([
    [0, '0.0 ms'],
    [449, '0.4 ms'],
    [9_940, '9.9 ms'],
    [38_400, '38 ms'],
    [999_499, '999 ms'],
    [999_500, '1.0 s'],
    [23_840_000, '23.8 s'],
    [null, 'never'],
    [Infinity, 'never'],
  ])('%p microseconds read %p', (microseconds, text) => {
    expect(time(microseconds)).toBe(text);
  });

  test('a span of counts', () => {
    expect(span([3, 3])).toBe('3');
    expect(span([1200, 3])).toBe('3 to 1,200');
  });
});

describe('scales', () => {
  test('a decade is as wide anywhere, and what is outside stands at the edge', () => {
    const scale = logScale([1, 1000], [0, 300]);
    expect([1, 10, 100, 1000].map(scale).map(Math.round)).toEqual([0, 100, 200, 300]);
    expect(scale(0)).toBe(0);
    expect(scale(Infinity)).toBeCloseTo(300);
  });

  test('the powers of ten in a range', () => {
    expect(decades(100, 1e5)).toEqual([100, 1000, 1e4, 1e5]);
    expect(decades(150, 1500)).toEqual([1000]);
  });

  test('labels are moved apart, stay in order and within the limits', () => {
    expect(spread([10, 100, 12], 15, [0, 200])).toEqual([10, 100, 25]);
    expect(spread([198, 199], 15, [0, 200])).toEqual([185, 200]);
  });
});

describe('having caught up', () => {
  test('not before the newest that had been handed over is there', () => {
    const handedOver = [
      [100_000, 7],
      [200_000, 8],
      [300_000, 9],
    ];
    const arrivals = [
      [400_000, 7],
      [405_000, 9],
    ];
    expect(caughtUpAt(handedOver, arrivals)).toBe(405_000);
    expect(caughtUpAt(handedOver, arrivals.slice(0, 1))).toBeNull();
  });

  test('what was handed over just now may be on its way', () => {
    const before = [100_000, 7];
    expect(caughtUpAt([before, [399_000, 8]], [[400_000, 7]])).toBe(400_000);
    expect(caughtUpAt([before, [397_000, 8]], [[400_000, 7]])).toBeNull();
  });
});

/** Notes of a trial: frozen at 0, thawed a second later; times in microseconds. */
const notes = (changes: object = {}) => ({
  closed: 0,
  thaw: { began: 1_000_000, ended: 1_200_000 },
  counts: {
    box: {
      received: { tcp: 0, udp: 0, echo: 0 },
      tried: { tcp: 10, udp: 4 },
      refusedTcp: {},
      refusedUdp: { EPERM: 4 },
    },
  },
  connections: {
    box: {
      'stream-out/4/1': { sends: true, log: [[900_000, 5]], ended: null },
      'stream-in/4/2': { sends: false, log: [[1_101_000, 4]], ended: null },
      'reset/4/3': { sends: false, log: [], ended: null },
    },
    peer: {
      'stream-out/4/1': { sends: false, log: [[1_150_000, 5]], ended: null },
      'stream-in/4/2': { sends: true, log: [[950_000, 4]], ended: { how: 'ETIMEDOUT', at: 1 } },
    },
  },
  datagrams: {
    box: { 4: { sent: 7, received: 8 }, 6: { sent: 0, received: 0 } },
    peer: { 4: { sent: 10, received: 7 }, 6: { sent: 0, received: 0 } },
  },
  after: { packet: 1_100_300, addition: null, removal: 1_100_500, held: null },
  ...changes,
});

describe('the notes of a trial', () => {
  test('the thaw is the first packet, or the news of it, or what arrived in the box', () => {
    expect(read(notes()).thawedAt).toBe(1_100_300);
    expect(read(notes({ after: { packet: null, removal: 1_100_500, held: null } })).thawedAt).toBe(1_100_500);
    expect(read(notes({ after: { packet: null, removal: 1_200_000, held: null } })).thawedAt).toBe(1_101_000);
  });

  test('the thaw of held packets is no later than the last look that saw them all held', () => {
    const after = { packet: 1_100_300, removal: 1_100_500, held: 1_100_200 };
    expect(read(notes({ after })).thawedAt).toBe(1_100_200);
  });

  test('a way that knows its moment is believed', () => {
    expect(read(notes({ thaw: { began: 1_000_000, ended: 1_200_000, at: 1_000_001 } })).thawedAt).toBe(1_000_001);
  });

  test('connections are told by both of their ends', () => {
    expect(read(notes()).connections).toEqual([
      { kind: 'stream', direction: 'out', version: 4, first: 49_700, caughtUp: 49_700, ended: null, survived: true },
      { kind: 'stream', direction: 'in', version: 4, first: 700, caughtUp: 700, ended: 'ETIMEDOUT', survived: false },
    ]);
  });

  test('lost is what was taken for sending and not received', () => {
    expect(read(notes()).lost).toEqual({ in: { 4: 2, 6: 0 }, out: { 4: 0, 6: 0 } });
  });
});

describe('what is shown', () => {
  const way = { key: 'steal', name: 'netfreeze steal', label: 'steal' };
  const reading = {
    way: 'steal',
    seconds: 1,
    ...read(notes()),
    frozen: { packets: 0, resets: 0 },
    thawed: { packets: 9, resets: 2 },
  };

  test('a cell has the medians of the first byte and of having caught up', () => {
    const about = { kind: 'stream', direction: 'out', version: 4 };
    expect(resumeTable([way], [1], [reading], about).at(-1)).toBe('| netfreeze steal | 50 ms / 50 ms |');
  });

  test('what passed, was lost and was refused', () => {
    const row = '| netfreeze steal | 0 | 0 | 0 | 0 | 2 | 2 | 0 | EPERM, always | nothing |';
    expect(passageTable([way], 1, [reading]).at(-1)).toBe(row);
  });

  test('a connection that carries nothing new is named', () => {
    const [out] = reading.connections;
    const dead = { ...reading, connections: [{ ...out, first: null, ended: 'ETIMEDOUT' }] };
    const line = '- netfreeze steal, 1 s: a stream from the frozen namespace over IPv4 ended with ETIMEDOUT';
    expect(silentOnes([way], [dead, reading])).toEqual([line]);
  });

  test('who survived', () => {
    expect(survivalTable([way], [reading]).at(-1)).toBe('| netfreeze steal | 1 of 1 | 0 of 1 |');
  });

  test('the picture has a mark for each length in each panel, and no number that is none', () => {
    const svg = picture([way], [reading]);
    expect(svg.match(/<circle/g)).toHaveLength(2);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('the page has a table for each question, and no number that is none', () => {
    const held = { held: 0, released: 3, lost: 0 };
    const stolen = { ...reading, held: { in: held, out: held } };
    const trickle = { kind: 'trickle', direction: 'out', version: 4, first: 1, caughtUp: 1, survived: true };
    const six = reading.connections.map((one) => ({ ...one, version: 6 }));
    const readings = [{ ...stolen, connections: [...reading.connections, ...six, trickle] }];
    const lengths = [{ seconds: 1, rounds: 1, hasTable: true }];
    const said = 'Nonexistent flag';
    const written = page({
      compared: [way],
      available: [way],
      refused: [{ way, said }],
      lengths,
      readings,
      timers: [reading],
      timersSeconds: 1,
    });
    expect(written.match(/^\| netfreeze steal \|/gm)).toHaveLength(7);
    expect(written).toContain('| 1 s | 3 | 0 | 3 | 0 |');
    expect(written).toContain('Not available in this run: netfreeze steal (Nonexistent flag).');
    expect(written).toContain('Every connection went on');
    expect(written).not.toMatch(/NaN|undefined|Infinity/);
  });

  test('text is escaped', () => {
    expect(element('text', { title: '"<&' }, '')).toBe('<text title="&#34;&#60;&#38;"/>');
  });
});
