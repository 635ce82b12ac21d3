/** A command that is CRIU itself: what can be said of it before it starts. */
import { basename } from 'node:path';
import { leavesRunning, lockOfDump, refuseStealBeside } from './own-lock';

/**
 * Looks at a command that is to run under a freeze.
 * @returns what a person should know
 * @throws Failure `steal-beside-lock` where CRIU's own lock would throw away what the freeze holds
 */
export function lookAtCommand(words: readonly string[], mode: string, { stays }: { stays: boolean }): string[] {
  // What starts another program may stand in front: env, nice, a loader.
  const at = words.slice(0, 5).findIndex((word) => basename(word) === 'criu');
  const args = words.slice(at);
  if (at < 0 || !args.includes('dump') || args.includes('restore')) return [];
  const criu = { pid: 0, start: null, args, startedBy: '' };
  refuseStealBeside(lockOfDump(criu), mode, 'the command');
  if (stays || leavesRunning(criu)) return [];
  return [
    'this dump ends its tasks: once it is thawed, the kernel resets their connections; with --stay-frozen it is not, with criu dump --leave-running they go on',
  ];
}
