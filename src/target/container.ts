/** What podman and docker have in common: how a container may be named, and what an inspection of one says. */
import type { Evidence, HostRemark, Running } from './kind';
import { engineFailed, notRunning } from './refusals';

/** Longer than any engine lets a name be. */
const longestName = 255;

/** @returns why a name can't be a container's, or null; a name like that is no option and no part of a path */
export function containerObjection(name: string): string | null {
  if (name === '') return 'the name is empty';
  if (name.length > longestName) return `a container's name has at most ${longestName} characters`;
  if (!/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(name)) return "a container's name has letters, digits, and inside _ . -";
  return null;
}

/** @returns why a container has the host's namespace, and how it gets one of its own */
export const containerOnHost = (engine: string): HostRemark => ({
  what: "a container on the host's network",
  advice: `give it a network of its own: ${engine} run without --network host`,
});

/** The members that are looked at; an engine may leave out what does not apply. */
interface Inspected {
  Id?: unknown;
  Name?: unknown;
  State?: { Pid?: unknown; Status?: unknown; StartedAt?: unknown; CgroupPath?: unknown };
  NetworkSettings?: { SandboxKey?: unknown };
}

/**
 * @param inspected one container, as `inspect` shows it
 * @returns the container, by its own name; what was asked for may have been a part of its id
 * @throws Failure `not-running`; `engine-failed` when that is no container
 */
export function runningContainer(engine: string, inspected: unknown): Running & { state: State } {
  const { Id, Name, State, NetworkSettings } = (inspected ?? {}) as Inspected;
  const { Pid, Status, StartedAt } = State ?? {};
  if (!isText(Id) || !isId(Id) || !isText(Name) || !isText(Status) || !Number.isInteger(Pid)) {
    throw engineFailed(engine, 'its answer is no container');
  }
  // Docker puts a slash before it.
  const name = Name.replace(/^\//, '');
  if (containerObjection(name) !== null) throw engineFailed(engine, 'its answer names a container impossibly');
  const pid = Pid as number;
  // A paused one has its processes; one that restarts has none, for a moment.
  if (pid <= 0) throw notRunning(`${engine}:${name}`, Status, `${engine} start ${name}`);
  const sandbox = NetworkSettings?.SandboxKey;
  const evidence: Evidence = { cgroup: Id, sandbox: isText(sandbox) ? sandbox : '' };
  return { name, pid, run: `${Id} ${isText(StartedAt) ? StartedAt : ''}`, evidence, notes: [], state: State ?? {} };
}

type State = NonNullable<Inspected['State']>;

/** It is evidence, and so has to be a whole one: every path holds an empty one, and many a short one. */
const isId = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);

const isText = (value: unknown): value is string => typeof value === 'string';

/** @throws Failure `engine-failed` when a text is no JSON */
export function parsed(engine: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw engineFailed(engine, 'its answer is no JSON', cause);
  }
}
