/** Reports for people: a line for each target, with what belongs to it below. */
import type { TargetReport } from '../freeze/report';
import { harmless, shown } from '../platform/text';
import { bytes, duration, since, times } from './units';

/** @returns what `on` says on standard output */
export function frozenText(report: TargetReport): string {
  const { lease, mode } = report;
  const until = lease ? `, thaws by itself in ${duration(lease.expiresInMs)}` : '';
  const already = report.changed ? `, proven in ${duration(took(report))}` : ', as before';
  return `${name(report)} is frozen (${mode}${until}${already})\n`;
}

/** @returns what `arm` says on standard output */
export function armedText(report: TargetReport): string {
  const already = report.changed ? `, proven in ${duration(took(report))}` : ', as before';
  return `${name(report)} is armed (${report.mode}${already})\n`;
}

const took = ({ timings }: TargetReport): number =>
  timings ? timings.renderMs + timings.rehearseMs + timings.applyMs + timings.verifyMs : 0;

/** @returns what `run` says of a freeze that it leaves standing */
export const keptText = (report: TargetReport): string =>
  `${name(report)} stays frozen (${report.lease ? `thaws by itself in ${duration(report.lease.expiresInMs)}` : 'endless'})\n`;

/** @returns what `off` says on standard output */
export function thawedText(report: TargetReport): string {
  const armed = report.armed ? ', and armed' : '';
  if (!report.changed) return `${name(report)} is not frozen${armed}\n`;
  if (report.held) return `${name(report)} is thawed (${heldText(report.held)})${armed}\n`;
  const stopped = report.counters
    ? ` (stopped during the freeze: ${times(report.counters.in.packets, 'packet')} in, ${times(report.counters.out.packets, 'packet')} out)`
    : '';
  return `${name(report)} is thawed${stopped}${kickedText(report)}${armed}\n`;
}

/** Nothing where nobody waited. */
function kickedText({ kicked }: TargetReport): string {
  if (!kicked) return '';
  const { sockets, peers, corked, unreachable } = kicked;
  const parts = [
    sockets > 0 ? `${times(sockets, 'TCP socket')} kicked` : '',
    peers > 0 ? `${times(peers, 'peer')} told to send again` : '',
    corked > 0 ? `${corked} corked by their program and left alone` : '',
    unreachable > 0 ? `${unreachable} out of reach` : '',
  ].filter((part) => part !== '');
  return parts.length === 0 ? '' : `; ${parts.join(', ')}`;
}

/** What became of the packets; "nothing lost" only where the kernel counted none. */
function heldText({ in: incoming, out }: NonNullable<TargetReport['held']>): string {
  const both = (what: keyof typeof out) => `${incoming[what]} in and ${out[what]} out`;
  const lost = incoming.lost + out.lost === 0 ? 'nothing lost' : `LOST: ${both('lost')}`;
  return `given back: ${both('released')}; ${lost}`;
}

/** @returns what `renew` says on standard output */
export function renewedText(report: TargetReport): string {
  const until = report.lease ? `thaws by itself in ${duration(report.lease.expiresInMs)}` : 'endless';
  return `${name(report)} is frozen (${until})\n`;
}

/** @returns what `verify` says on standard output */
export const verifiedText = (report: TargetReport): string =>
  `${name(report)} is frozen, and the kernel shows ${report.since ? 'what was frozen' : 'a whole freeze'}\n`;

/** @returns what `on --dry-run` says on standard output */
export function dryRunText(report: TargetReport): string {
  const lines = report.wouldChange ?? [];
  return `${name(report)}: rehearsed, not touched; would change:\n${lines.map((line) => `  ${harmless(line)}\n`).join('')}`;
}

/** @returns what `status` says on standard output about all of them */
export function statusText(reports: TargetReport[]): string {
  if (reports.length === 0) return 'nothing is frozen\n';
  return reports.map(statusBlock).join('\n');
}

function statusBlock(report: TargetReport): string {
  const lines: string[] = [`${name(report)}  ${stateText(report)}`];
  const add = (label: string, value: string) => lines.push(`  ${label.padEnd(9)} ${value}`);
  if (report.otherNames) add('also', report.otherNames.map(shown).join(', '));
  if (report.mode)
    add('mode', report.template === report.mode ? report.mode : `${report.mode}, template ${report.template}`);
  if (report.state === 'frozen') add('lease', report.lease ? `${duration(report.lease.expiresInMs)} left` : 'endless');
  if (report.counters) {
    const { in: incoming, out } = report.counters;
    add(
      'stopped',
      `in ${times(incoming.packets, 'packet')} (${bytes(incoming.bytes)}), out ${times(out.packets, 'packet')} (${bytes(out.bytes)})`,
    );
  }
  if (report.held) {
    const { in: incoming, out } = report.held;
    add('held', `in ${times(incoming.held, 'packet')}, out ${times(out.held, 'packet')}`);
    if (incoming.released + out.released > 0) add('released', `in ${incoming.released}, out ${out.released}`);
    add('lost', incoming.lost + out.lost === 0 ? 'nothing' : `in ${incoming.lost}, out ${out.lost}`);
  }
  if (report.since) add('since', `${report.since} (${since(report.since)} ago)`);
  if (report.by) add('by', `${shown(report.by.user)} (process ${report.by.pid})`);
  if (report.reason) add('reason', shown(report.reason));
  if (report.namespace) add('namespace', `device ${report.namespace.device}, inode ${report.namespace.inode}`);
  for (const note of report.notes)
    add(
      'note',
      harmless(note)
        .split('\n')
        .join(`\n${' '.repeat(12)}`),
    );
  if (report.error) add('error', harmless(report.error.message));
  return `${lines.join('\n')}\n`;
}

function stateText({ state, verified, armed }: TargetReport): string {
  if (armed) return 'armed, not frozen';
  if (state === 'thawed') return 'thawed (lease ended)';
  if (state === 'frozen') return verified ? 'frozen, verified' : 'frozen, not verified';
  return { absent: 'not frozen', drifted: 'DRIFTED', failed: 'FAILED' }[state];
}

const name = ({ target }: TargetReport): string => shown(target);
