/** What every kind of target answers; one file of this room for each. */

/** A kind of target. */
interface Kind {
  /** What stands before the colon. */
  prefix: string;
  /** @returns why a name can't be one of this kind, or null */
  objection(name: string): string | null;
}

/** A kind whose names are files: nothing is started and nobody is asked. */
export interface FileKind extends Kind {
  /** @returns the file behind the name */
  file(name: string): string;
  /** @returns the names that could be meant, for suggestions */
  names(): string[];
  /** What to do when there is nothing of a name. */
  advice: string;
  /** @returns what to say when there is nothing of this name, or when it is no network namespace */
  missing(name: string): string;
}

/** A kind whose names somebody else keeps, who has to be asked: a container engine, or systemd. */
export interface EngineKind extends Kind {
  /** Who is asked. */
  engine: string;
  /** @returns whether the engine seems to be on this machine; only files are looked at */
  isHere(): boolean;
  /**
   * Asks what runs under a name.
   * @returns null when there is nothing of that name
   * @throws Failure `not-running`, `ambiguous-target`; `no-engine`, `engine-failed`, `not-permitted` when it can't be asked
   */
  find(name: string): Promise<Running | null>;
  /** @returns the names that could be meant, for suggestions; throws as find() does */
  names(): Promise<string[]>;
  /** What to do when there is nothing of a name. */
  advice: string;
  /** @returns what to say when there is nothing of this name */
  missing(name: string): string;
  /** What it means that one of these is in the host's namespace, and what to do about it. */
  onHost: HostRemark;
}

/** What runs under a name at one moment. */
export interface Running {
  /** The name in full, without the prefix. */
  name: string;
  /** A process in its network namespace that lives as long as it does. */
  pid: number;
  /** What tells this run of it from the next one. */
  run: string;
  /** How to see that the process is a container's, and not one of another machine or of a later time; null: no need. */
  evidence: Evidence | null;
  /** What a person should know about where else it is. */
  notes: string[];
}

/** Either is enough. */
export interface Evidence {
  /** What the path of the process's control group holds. */
  cgroup: string;
  /** A file that is the same namespace; empty: none. */
  sandbox: string;
}

export interface HostRemark {
  /** Goes behind the target's name: `, a container on the host's network,`. */
  what: string;
  advice: string;
}
