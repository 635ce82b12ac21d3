/** What all commands share: flags, the way from a failure to an exit status, and where output goes. */

import { Command } from '@oclif/core/command';
import { boolean } from '@oclif/core/flags';
import type { Machine } from '../freeze/machine';
import { asFailure, type Operation, type TargetReport } from '../freeze/report';
import { chooseEngine, isReplaying } from '../nftables/choose';
import { requireCapabilities } from '../platform/capabilities';
import { Exit, Failure } from '../platform/failure';
import { type Deed, isCrowd } from '../presentation/crowd';
import { failureJson, operationJson } from '../presentation/json';
import { print } from '../presentation/output';
import { type Progress, progress } from '../presentation/progress';
import { tellCrowd, tellFailure, tellNote, tellReport } from '../presentation/tell';
import { stateDirectory } from '../record/state-directory';

/** How a target can be named, as help and advice say it. */
export const targetKinds = 'NAME, netns:NAME, pid:N, path:FILE, podman:NAME, docker:NAME or unit:NAME';

/** Each command does its work in `work()`; whatever it throws becomes a message and an exit status here. */
export abstract class NetfreezeCommand extends Command {
  static override baseFlags = {
    json: boolean({ description: 'print the result as JSON', default: false }),
  };

  /** How far a long operation has come, for those who look on. */
  protected readonly progress = progress();

  protected abstract work(): Promise<void>;

  override async run(): Promise<void> {
    try {
      await this.work();
    } catch (error) {
      this.end(usageFailure(error) ?? asFailure(error));
    }
  }

  /** Says what failed, on standard error and with --json on standard output too, and sets the exit status. */
  protected end(failure: Failure): void {
    if (this.argv.includes('--json')) print(failureJson(failure));
    tellFailure(failure);
    process.exitCode = failure.exit;
  }

  /**
   * Prints an operation's outcome: reports to standard output, notes and failures to standard error.
   * @param deed what was done, where many targets are summed up instead of told one by one
   */
  protected present(operation: Operation, json: boolean, text: (report: TargetReport) => string, deed?: Deed): void {
    this.progress.end();
    if (json) print(operationJson(operation));
    else if (deed && isCrowd(operation)) {
      tellCrowd(operation, deed, performance.now());
      if (operation.failure) process.exitCode = operation.failure.exit;
      return;
    }
    for (const report of operation.targets) {
      if (json) continue;
      if (!report.error) tellReport(report, text(report));
      // What the failure says is not said twice.
      const notes = report.notes.filter((note) => !report.error?.message.includes(note));
      for (const note of notes) tellNote(report, note);
    }
    this.complain(operation);
  }

  /** Says what failed of an operation, and sets the exit status. */
  protected complain({ targets, failure }: Operation): void {
    for (const report of targets) if (report.error) tellFailure(report.error, report);
    if (failure) process.exitCode = failure.exit;
  }
}

/**
 * The machine as commands use it.
 * @param progress is told how far an operation has come
 */
export function thisMachine(progress?: Progress): Machine {
  let engine: ReturnType<typeof chooseEngine> | undefined;
  return {
    stateDirectory: stateDirectory(),
    replays: isReplaying(),
    ...(progress && { progress: progress.tell }),
    engine() {
      engine ??= chooseEngine();
      return engine;
    },
  };
}

/** @throws Failure `not-permitted` before anything is opened */
export const requirePrivileges = (task: string): void => requireCapabilities(task);

/** oclif's parser throws errors of its own for what the user has mistyped. */
function usageFailure(error: unknown): Failure | null {
  if (!(error instanceof Error) || !('oclif' in error)) return null;
  const message = error.message.replace(/\nSee more help with --help$/, '');
  return new Failure('usage', Exit.usage, message, { suggestions: ['--help shows the command with its options'] });
}
