/** What the VM suite's rig makes of a machine whose kernel says that it stands still; in the words of kernel 6.1. */
import { watchConsole } from '../vm/rig/console';
import { onceMoreAfterLockup } from '../vm/rig/job';
import { Lockup } from '../vm/rig/machine';

const stack = (at: string) =>
  ['RIP: 0010:nf_queue+0x3cd/0x730', 'Call Trace:', ' <TASK>', ' nf_hook_slow+0x3e/0xf0', ' </TASK>']
    .map((line) => `[${at}] ${line}`)
    .join('\n');

const soft = (at: string, cpu: number, seconds: number) => `[${at}] watchdog: BUG: soft lockup - CPU#${cpu} stuck for \
${seconds}s! [python3:166]
[${at}] CPU: ${cpu} PID: 166 Comm: python3 Not tainted 6.1.0-56-amd64 #1  Debian 6.1.192-2
${stack(at)}
[${at}] Sending NMI from CPU ${cpu} to CPUs ${1 - cpu}:
[${at}] NMI backtrace for cpu ${1 - cpu}
${stack(at)}
`;

const stall = (at: string, jiffies: number) => `[${at}] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
[${at}] rcu: \t0-....: (1 GPs behind) idle=1c94/1/0x4000000000000000 softirq=2174/2176 fqs=2507
[${at}] \t(detected by 1, t=${jiffies} jiffies, g=2821, q=98 ncpus=2)
${stack(at)}
`;

const selfDetected = (at: string, jiffies: number) => `[${at}] rcu: INFO: rcu_preempt self-detected stall on CPU
[${at}] rcu: \t0-....: (6082 ticks this GP) idle=1c94/1/0x4000000000000000 softirq=2174/2176 fqs=2507
\t(t=${jiffies} jiffies g=2821 q=1 ncpus=2)
${stack(at)}
`;

const expedited = (at: string, jiffies: number) =>
  `[${at}] rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } ${jiffies} jiffies s: 501 \
root: 0x2/.
[${at}] rcu: blocking rcu_node structures (internal RCU debug):
`;

const ordinary = `[   15.500000] IPv6: ADDRCONF(NETDEV_CHANGE): veth0: link becomes ready
[   16.000000] INFO: NMI handler (nmi_cpu_backtrace_handler) took too long to run: 24.904 msecs
`;

function watched(...texts: string[]) {
  const watch = watchConsole();
  for (const text of texts) watch.take(text.replaceAll('\n', '\r\n'));
  return watch;
}

describe('the console of a machine', () => {
  test('of which nothing is reported', () => {
    const watch = watched(ordinary);
    expect([watch.lockup(), watch.panic(), watch.firstReport()]).toEqual([null, null, []]);
  });

  test.each<[what: string, before: string[], last: string, words: string]>([
    [
      'soft lockups',
      [soft('   40.761258', 0, 22), soft('   64.868596', 1, 45)],
      soft('   92.760599', 0, 71),
      'watchdog: BUG: soft lockup - CPU#0 stuck for 71s! [python3:166]',
    ],
    [
      'an RCU stall',
      [stall('   36.987097', 5252)],
      stall('  100.008756', 21_007),
      'rcu: INFO: rcu_preempt detected stalls on CPUs/tasks: (detected by 1, t=21007 jiffies, g=2821, q=98 ncpus=2)',
    ],
    [
      'an RCU stall that the CPU itself notices',
      [selfDetected('   41.775279', 5250)],
      selfDetected('  104.787000', 21_003),
      'rcu: INFO: rcu_preempt self-detected stall on CPU (t=21003 jiffies g=2821 q=1 ncpus=2)',
    ],
    [
      'an expedited RCU stall',
      [expedited(' 2041.000000', 5311)],
      expedited(' 2104.000000', 21_300),
      'rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... } 21300 jiffies s: 501 root: 0x2/.',
    ],
    [
      'an RCU stall and a soft lockup',
      [stall('   36.987097', 5252), soft('   60.500000', 0, 45)],
      soft('   84.500000', 0, 67),
      'watchdog: BUG: soft lockup - CPU#0 stuck for 67s! [python3:166]',
    ],
  ])('tells of a lockup by the report of %s after 60 s', (_what, before, last, words) => {
    const watch = watched(ordinary, ...before);
    expect(watch.lockup()).toBeNull();
    const pieces = last.match(/.{1,7}/gs) ?? [];
    for (const piece of pieces) watch.take(piece);
    expect(watch.lockup()).toBe(words);
    expect(watch.firstReport()[0]).toBe(before[0]?.split('\n')[0]);
  });

  test.each<[what: string, texts: string[]]>([
    ['one report', [soft('   40.761258', 0, 22)]],
    [
      'several short ones, one after another',
      [
        soft('   40.000000', 0, 22),
        stall('   40.100000', 5252),
        soft('   63.000000', 1, 23),
        soft('   90.000000', 0, 26),
      ],
    ],
    [
      'a pause of the whole machine, which all reports speak of at once',
      [soft('  140.000000', 0, 100), soft('  140.100000', 1, 100), stall('  140.200000', 25_000)],
    ],
    [
      'a pause, long after a short one',
      [soft('   40.000000', 0, 22), soft('  340.000000', 0, 100), stall('  340.200000', 25_000)],
    ],
  ])('tells of no lockup by %s', (_what, texts) => {
    const watch = watched(...texts);
    expect(watch.lockup()).toBeNull();
    expect(watch.firstReport().length).toBeGreaterThan(5);
  });

  test('keeps the first report with the stacks of all CPUs, and not all that follows', () => {
    const reports = Array.from({ length: 100 }, (_, index) => soft(`  ${100 + index * 24}.000000`, 0, 22 + index * 24));
    const lines = watched(ordinary, ...reports).firstReport();
    expect(lines.slice(0, 14).join('\n')).toBe(reports[0]?.trimEnd());
    expect(lines).toHaveLength(150);
  });

  test('tells of a panic, which is no lockup', () => {
    const watch = watched('[   15.647994] Kernel panic - not syncing: sysrq triggered crash\n');
    expect(watch.panic()).toBe('Kernel panic - not syncing: sysrq triggered crash');
    expect(watch.lockup()).toBeNull();
  });
});

describe('after a lockup', () => {
  /** Attempts that end, one after another, with a status or an error; the last one again and again. */
  function attempts(...ends: (number | Error)[]) {
    const attempt = jest.fn(async () => {
      const end = ends.length > 1 ? ends.shift() : ends[0];
      if (typeof end === 'number') return end;
      throw end;
    });
    const notes: string[] = [];
    return { attempt, notes, end: () => onceMoreAfterLockup(attempt, (words) => notes.push(words)) };
  }

  test.each([0, 1])('there is one more run, whose status %d counts, and the first report is told', async (status) => {
    const { attempt, notes, end } = attempts(new Lockup('CPU#0 stuck'), status);
    await expect(end()).resolves.toBe(status);
    expect(attempt).toHaveBeenCalledTimes(2);
    expect(notes).toEqual(['CPU#0 stuck', expect.stringContaining('once more'), expect.stringContaining('second run')]);
  });

  test('a second one is the end', async () => {
    const { attempt, end } = attempts(new Lockup('CPU#0 stuck'), new Lockup('CPU#1 stuck'));
    await expect(end()).rejects.toThrow('for the second time, CPU#1 stuck');
    expect(attempt).toHaveBeenCalledTimes(2);
  });

  test('a machine that fails otherwise in the second run is the end', async () => {
    const { attempt, end } = attempts(new Lockup('CPU#0 stuck'), new Error('no answer'));
    await expect(end()).rejects.toThrow('no answer');
    expect(attempt).toHaveBeenCalledTimes(2);
  });

  test.each<[what: string, end: number | Error]>([
    ['a failed test', 1],
    ["the job's time that is over", 124],
    ['a machine that is silent', new Error('no answer from the machine in 1530 s')],
    ['a panic', new Error("the machine's kernel has panicked")],
  ])('only: %s is not tried again', async (_what, how) => {
    const { attempt, notes, end } = attempts(how);
    await end().catch(() => {});
    expect(attempt).toHaveBeenCalledTimes(1);
    expect(notes).toEqual([]);
  });
});
