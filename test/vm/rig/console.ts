/** What a machine's kernel says on its console about CPUs that stand still: soft lockups, RCU stalls, a panic. */

export interface ConsoleWatch {
  /** Takes what the console has said since, in pieces of any size. */
  take(text: string): void;
  /** The report, in the kernel's words, by which the machine has locked up; null as long as there is none. */
  lockup(): string | null;
  /** What the kernel said when it panicked; null unless it has. */
  panic(): string | null;
  /** The first report of a CPU that stands still, and what follows it: its stacks. At most `reportLines` lines. */
  firstReport(): readonly string[];
}

/** A soft lockup with the stacks of two CPUs was 112 lines. */
const reportLines = 150;

/** A CPU that has stood still for this long, in seconds, is not expected back; see `watchConsole`. */
const lockupSeconds = 60;

/** How much earlier than that, in seconds, it has been reported: the kernel reports again about every 22 s. */
const apartSeconds = 20;

/** RCU counts in jiffies: CONFIG_HZ of Debian's kernel for amd64. */
const jiffiesPerSecond = 250;

/** As kernel 6.1 prints it: kernel/watchdog.c, kernel/rcu/tree_stall.h, kernel/rcu/tree_exp.h, kernel/panic.c. */
const words = {
  soft: /watchdog: BUG: soft lockup - CPU#\d+ stuck for (\d+)s!/,
  stall: /rcu: INFO: rcu_\w+ (?:self-detected stall|detected (?:expedited )?stalls)\b(?:.*\} (\d+) jiffies s:)?/,
  /** How long a stall has lasted is in a line of its own, unless it is an expedited one. */
  stallLasts: /\(.*\bt=(\d+) jiffies,? g=/,
  panic: /Kernel panic - not syncing.*/,
  time: /^\[ *(\d+\.\d+)\] ?/,
};

/**
 * Watches one machine from its start.
 *
 * The machine has locked up when the kernel says of a CPU that it stands still for 60 s, and has said so before, at
 * least 20 s ago and within the time that it speaks of. One report alone means nothing: on a busy host an emulated CPU
 * may get no turn for 20 s and go on, and what a kernel says after a pause of the whole machine, it says at once
 * (after 100 s, an idle one said nothing). How long the job has been silent means nothing either: jest says a word per
 * test file, which takes minutes.
 */
export function watchConsole(): ConsoleWatch {
  /** When a report was made, in the kernel's seconds since boot. */
  const reported: number[] = [];
  const first: string[] = [];
  let now = 0;
  let stall = '';
  let rest = '';
  let lockup: string | null = null;
  let panic: string | null = null;

  const hear = (line: string): void => {
    const time = words.time.exec(line);
    // A line that goes on where another ended has no time of its own.
    if (time !== null) now = Number(time[1]);
    panic ??= words.panic.exec(line)?.[0] ?? null;
    const said = line.replace(words.time, '').trim();
    if (words.stall.test(said)) stall = said;
    const lasts = standsStill(said);
    if (lasts !== null) {
      const before = reported.some((at) => now - at >= apartSeconds && now - at <= lasts);
      if (lasts >= lockupSeconds && before) lockup ??= words.stallLasts.test(said) ? `${stall} ${said}` : said;
      reported.push(now);
    }
    if (reported.length > 0 && first.length < reportLines) first.push(line);
  };

  return {
    take(text) {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) hear(line.replace(/\r$/, ''));
    },
    lockup: () => lockup,
    panic: () => panic,
    firstReport: () => first,
  };
}

/** @returns for how many seconds a CPU has stood still, as a line says, 0 if it does not; null for other lines */
function standsStill(line: string): number | null {
  const soft = words.soft.exec(line);
  if (soft !== null) return Number(soft[1]);
  const stall = words.stall.exec(line) ?? words.stallLasts.exec(line);
  return stall === null ? null : Number(stall[1] ?? 0) / jiffiesPerSecond;
}
