// The lab's page, below the heading that names the machine. Pure.
import {
  answerTable,
  commandTable,
  differingOverIpv6,
  ledgerTable,
  passageTable,
  resumeTable,
  silentOnes,
  survivalTable,
} from './tables.mjs';

const directions = [
  ['out', 'The frozen namespace sends'],
  ['in', 'The frozen namespace receives'],
];

/**
 * @param found the ways `compared`, `lengths` (see programme.mjs) and the `readings` of them; all ways `available`, the
 *   readings `timers` of them and their `timersSeconds`; and the `refused`: ways that this netfreeze does not know, each
 *   with what it `said`
 * @returns Markdown
 */
export function page(found) {
  const sections = [
    question(found),
    answer(found),
    resuming(found),
    littleWriters(found),
    passing(found),
    surviving(found),
    method(found),
  ];
  return `${sections.flat().join('\n')}\n`;
}

function question({ refused }) {
  return [
    '## The question',
    '',
    'When checkpointing TCP was discussed in 2006, one question stayed open: is the traffic of a container to be stopped by a',
    'socket filter (`sk_filter`) on each socket, or in netfilter, and there by dropping packets (NF_DROP) or by taking them',
    '(NF_STOLEN) and giving them back? Here all of them are tried on the same machine at the same time, with the same',
    'programs at both ends of a cable, each way in two namespaces of its own.',
    '',
    '- **sk_filter on each socket**: one BPF instruction that returns 0, on every socket of the namespace.',
    '- **NF_DROP as CRIU makes it**: chains `output` and `input` with the policy drop, in five transactions, taken away in one.',
    '- **netfreeze drop**: `netfreeze on`, `netfreeze off`, which kicks the connections of the namespace; with `--no-kick`, which',
    '  leaves them to their timers; with `--kick-peers`, which makes the peers send as well.',
    '- **netfreeze steal**: `netfreeze on --mode steal`, `netfreeze off`, which releases what was held.',
    ...refused.flatMap(({ way, said }) => ['', `Not available in this run: ${way.name} (${said}).`]),
    '',
  ];
}

function answer({ compared, lengths, readings, timers }) {
  const tabled = withTable(lengths);
  const seconds = tabled.includes(10) ? 10 : tabled.at(-1);
  return [
    '## The answer',
    '',
    `After freezes of ${seconds} s; each column is explained below, where the other lengths are.`,
    '',
    ...answerTable(compared, seconds, readings, timers),
    '',
  ];
}

function resuming({ compared, lengths, readings }) {
  const tabled = withTable(lengths);
  const lines = [
    '## Time to resume',
    '',
    '![Time to resume over length of freeze, all ways](lab.svg)',
    '',
    'From the thaw to the first new byte that the receiving program got / until it had all that had been handed over to the',
    "sender's kernel by then. The connections are streams: 12,000 bytes every 60 ms, so that the send buffer is full in the first",
    `second of a freeze. Medians of ${numbers(lengths)}, IPv4.`,
    '',
    'After a drop, TCP goes on when its timer fires next. The timer doubles: it starts at about 0.2 s, and so fires about 0.2, 0.6,',
    '1.5, 3.1, 6.5, 13, 27 and 54 s after the freeze began. The time to resume is what is left until the next of these: short for a',
    'freeze that ends right before one, as one of 3 s does, and up to as long as the freeze itself.',
    '',
  ];
  for (const [direction, title] of directions) {
    const about = { kind: 'stream', direction };
    lines.push(`### ${title}`, '', ...resumeTable(compared, tabled, readings, { ...about, version: 4 }), '');
    const differing = differingOverIpv6(compared, tabled, readings, about);
    if (differing.length === 0) {
      lines.push('Over IPv6 no way differed by more than twice and 20 ms.', '');
    } else {
      const six = resumeTable(differing, tabled, readings, { ...about, version: 6 });
      lines.push('Over IPv6, the ways that differed by more than twice and 20 ms:', '', ...six, '');
    }
  }
  const silent = silentOnes(compared, readings);
  if (silent.length === 0) return [...lines, 'Every connection went on after its thaw.', ''];
  return [
    ...lines,
    'Connections that did not go on while they were watched (as long as the freeze, and 8 s):',
    '',
    ...silent,
    '',
  ];
}

function littleWriters({ compared, lengths, readings }) {
  const about = { kind: 'trickle', direction: 'out' };
  return [
    '### The frozen namespace sends, a little at a time',
    '',
    'A program that writes 64 bytes every 60 ms does not fill its send buffer for long. Where a packet is dropped before it has',
    'left the namespace, nothing is in flight, and the next write tries again: such a program ends its wait itself. Where its',
    'packets leave and the answers do not come in, or where its buffer is full, it waits for the timer.',
    '',
    ...resumeTable(compared, withTable(lengths), readings, { ...about, version: 4 }),
    '',
  ];
}

function passing({ compared, lengths, readings }) {
  const lines = [
    '## What passed, and what was lost',
    '',
    'Both families together. In: what programs of the namespace got from their sockets, and echo requests of the peer that the',
    "kernel answered. Out: packets that reached the peer's end of the cable, ARP and neighbour discovery set apart. Two",
    'connections were closed with a RST while they were frozen. UDP: 64 bytes every 40 ms each way and family; lost is what the',
    "sender's kernel had taken and the receiver never got; a refused `send` is not lost but told. Spans are over the rounds.",
    '',
  ];
  for (const seconds of withTable(lengths)) {
    lines.push(`### ${seconds} s`, '', ...passageTable(compared, seconds, readings), '');
  }
  const steal = compared.find(({ key }) => key === 'steal');
  if (steal === undefined) return lines;
  return [
    ...lines,
    '### What netfreeze says of what it held',
    '',
    'Packets, as `netfreeze off --json` counts them for the steals above.',
    '',
    ...ledgerTable(steal, withTable(lengths), readings),
    '',
  ];
}

function surviving({ available, timers, timersSeconds }) {
  return [
    '## Who survives short timers',
    '',
    `With \`tcp_retries2=3\` on both sides TCP gives up after about three seconds. Connections that lived after ${timersSeconds} s of`,
    'freeze and carried new data after the thaw, IPv4 and IPv6 together. A freeze does not stop the clock, whatever becomes of',
    "the packets; `--hold-timers` raises the limits in the frozen namespace. The peer's limits are out of its reach.",
    '',
    ...survivalTable(available, timers),
    '',
  ];
}

function method({ compared, lengths, readings }) {
  return [
    '## How it was measured',
    '',
    `- Freezes of ${lengths.map(({ seconds }) => seconds).join(', ')} s, from the moment when the rules came into force to the thaw:`,
    '  each thawing command begins earlier by what it took on trial. All ways are frozen at the same time, each in namespaces of',
    `  its own, 0.4 s apart. How long they really were: ${realLengths(lengths, readings)}.`,
    '- The thaw, from which everything counts, is a moment in the kernel and not the start of a process. Where packets are held,',
    '  it is the last look at the queues that saw all of them held; there is a look every 0.1 to 0.2 ms. Else it is the moment when',
    '  the first packet of either direction passed, or when nf_tables told that rules were taken away, whichever was first; it tells',
    '  up to about a millisecond late. For sk_filter it is the moment before the first filter was taken off. What the commands take:',
    '',
    ...commandTable(compared, readings),
    '',
    '- Arrival is when the receiving program, which waits in epoll and runs with SCHED_FIFO, was woken. What leaves is stamped',
    '  by the kernel on the wire. All clocks are CLOCK_MONOTONIC.',
    '- TCP is as the kernel has it; send buffers are left to it. UDP receivers have a large buffer: what is lost was lost on the way.',
  ];
}

const withTable = (lengths) => lengths.filter(({ hasTable }) => hasTable).map(({ seconds }) => seconds);

function realLengths(lengths, readings) {
  const told = lengths.map(({ seconds }) => {
    const real = readings.filter((reading) => reading.seconds === seconds).map(({ length }) => length / 1e6);
    return `${Math.min(...real).toFixed(2)} to ${Math.max(...real).toFixed(2)}`;
  });
  return `${told.join(', ')} s`;
}

/** How many values stand behind a cell. */
function numbers(lengths) {
  const told = lengths.filter(({ hasTable }) => hasTable).map(({ seconds, rounds }) => `${2 * rounds} (${seconds} s)`);
  return `${told.join(', ')} connections, two in each round`;
}
