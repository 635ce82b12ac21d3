/** Under which other names what is frozen is known: a namespace is frozen for all who are in it. */
import { sharersOf } from '../target/sharers';
import type { TargetReport } from './report';

/**
 * Adds the other names to reports of what is frozen, or was. What was found only by a process or a file, and is known by
 * no better name, is called by the name of who is in it.
 * @param ways the name by which each namespace was found; without it a person has named them, and only those that an
 *   engine keeps are looked at
 * @returns the reports in their order; nobody is asked where there is nothing to name
 */
export async function withOtherNames(
  reports: TargetReport[],
  ways: ReadonlyMap<TargetReport, string> | null = null,
): Promise<TargetReport[]> {
  const wanted = reports.filter(
    ({ namespace, state, target }) => namespace && (ways ? true : state !== 'absent' && isEngineName(target)),
  );
  if (wanted.length === 0) return reports;
  const sharers = await sharersOf(wanted.flatMap(({ namespace }) => namespace ?? []));
  return reports.map((report) => {
    const at = wanted.indexOf(report);
    return at < 0 ? report : named(report, ways?.get(report) ?? null, sharers[at] ?? []);
  });
}

const isEngineName = (name: string): boolean => /^(podman|docker|unit):/.test(name);

function named(report: TargetReport, way: string | null, sharers: string[]): TargetReport {
  const isPoor = report.target === way && /^(pid|path):/.test(way);
  const target = (isPoor ? sharers[0] : undefined) ?? report.target;
  // A process comes and goes: it is no name to keep.
  const lasting = way === null || way.startsWith('pid:') ? [] : [way];
  const otherNames = [...new Set([...sharers, ...lasting])].filter((name) => name !== target);
  return otherNames.length === 0 ? { ...report, target } : { ...report, target, otherNames };
}
