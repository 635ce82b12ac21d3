/** From what a person names to a pinned namespace: the list of kinds, and the rules for a bare name. */
import { statSync } from 'node:fs';
import { closest, distance } from 'fastest-levenshtein';
import { type Namespace, PinError, pin, sameNamespace } from '../namespace/namespace';
import { Exit, Failure } from '../platform/failure';
import { shown } from '../platform/text';
import type { Kind } from './kind';
import { netns } from './netns';
import { path } from './path';
import { pid } from './pid';

const kinds: readonly Kind[] = [netns, pid, path];

/** A target whose namespace is pinned. */
export interface Target {
  /** The name in full, `netns:web`. */
  name: string;
  namespace: Namespace;
  /** The file by which it was found. */
  file: string;
  /** @returns whether the name still stands for the pinned namespace */
  stillThere(): boolean;
}

/**
 * Resolves a name and pins the namespace behind it. Nothing is started, nothing is looked up twice.
 * @throws Failure `bad-target` (usage), `no-such-target`, `ambiguous-target`, `not-permitted`
 */
export function resolve(text: string): Target {
  const { kind, name } = choose(text);
  const file = kind.file(name);
  const namespace = pinFile(kind, name, file);
  return {
    name: `${kind.prefix}:${name}`,
    namespace,
    file,
    stillThere() {
      try {
        const { dev, ino } = statSync(file);
        return sameNamespace(namespace, { device: dev, inode: ino });
      } catch {
        return false;
      }
    },
  };
}

/**
 * Reads a target's name without looking whether it exists.
 * @throws Failure `bad-target` when it can be no name at all
 */
export function checkName(text: string): void {
  split(text);
}

/** Takes `kind:name` apart; a name without a kind is one that `ip netns` knows. */
function split(text: string): { kind: Kind; name: string; bare: boolean } {
  const colon = text.indexOf(':');
  const prefix = colon < 0 ? null : text.slice(0, colon);
  const kind = prefix === null ? netns : kinds.find((candidate) => candidate.prefix === prefix);
  if (!kind) {
    throw badTarget(text, `there is no kind of target ${shown(prefix ?? '')}`, [
      `kinds: ${kinds.map((known) => known.prefix).join(', ')}`,
      `for a namespace of that name, write ${shown(`netns:${text}`)}`,
    ]);
  }
  const name = text.slice(colon + 1);
  const objection = kind.objection(name);
  if (objection) {
    const hint = kind === netns && name.startsWith('/') ? [`for a file, write ${shown(`path:${name}`)}`] : [];
    throw badTarget(text, objection, hint);
  }
  return { kind, name, bare: prefix === null };
}

/** A bare number may be the name of a namespace or a process: what can mean both is not guessed. */
function choose(text: string): { kind: Kind; name: string } {
  const { kind, name, bare } = split(text);
  if (!bare || pid.objection(name) !== null) return { kind, name };
  const isName = exists(netns.file(name));
  const isProcess = exists(pid.file(name));
  if (isName && isProcess) {
    throw new Failure('ambiguous-target', Exit.noTarget, `${shown(text)} could be a namespace or a process`, {
      suggestions: [`netns:${name}`, `pid:${name}`],
    });
  }
  if (!isName && isProcess) {
    throw new Failure('no-such-target', Exit.noTarget, `there is no namespace named ${shown(name)}`, {
      suggestions: [`did you mean the process: pid:${name}`],
    });
  }
  return { kind, name };
}

function exists(file: string): boolean {
  try {
    statSync(file);
    return true;
  } catch {
    return false;
  }
}

function pinFile(kind: Kind, name: string, file: string): Namespace {
  try {
    return pin(file);
  } catch (cause) {
    if (!(cause instanceof PinError)) throw cause;
    if (cause.reason === 'EACCES' || cause.reason === 'EPERM') {
      throw new Failure(
        'not-permitted',
        Exit.notPermitted,
        `cannot open ${kind.prefix}:${shown(name)}: ${cause.message}`,
        {
          suggestions: [
            process.geteuid?.() === 0
              ? 'the process it belongs to has rights that this one lacks (see capabilities(7))'
              : 'run it as root, for example with sudo',
          ],
          cause,
        },
      );
    }
    const why = cause.reason === 'not-a-namespace' ? `${shown(file)} is not a network namespace` : kind.missing(name);
    throw new Failure('no-such-target', Exit.noTarget, why, { suggestions: nearNames(kind, name), cause });
  }
}

/** @returns names that a typing mistake could have meant */
function nearNames(kind: Kind, name: string): string[] {
  const names = kind.names().filter((known) => known !== name);
  if (names.length === 0) return [kind.advice];
  const nearest = closest(name, names);
  const limit = Math.max(2, Math.floor(name.length / 3));
  return distance(name, nearest) <= limit ? [`did you mean ${shown(nearest)}?`] : [kind.advice];
}

const badTarget = (text: string, why: string, suggestions: string[]) =>
  new Failure('bad-target', Exit.usage, `${shown(text)} is not a target: ${why}`, { suggestions });
