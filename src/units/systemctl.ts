/** The running systemd, asked through its own program. */
import { existsSync } from 'node:fs';
import { Exit, Failure } from '../platform/failure';

/** sd_booted(3): whether systemd runs this machine. */
export const isRunning = (): boolean => existsSync('/run/systemd/system');

/** Makes systemd read its units anew. @throws Failure `systemctl-failed` */
export const reload = (): string => systemctl(['daemon-reload']);

/** @returns the names of our units that are active, on their way, or failed only in stopping. @throws Failure `systemctl-failed` */
export function activeUnits(): string[] {
  const states = 'active,activating,deactivating,reloading';
  const options = ['--plain', '--no-legend', '--no-pager', '--all', `--state=${states}`];
  const list = systemctl(['list-units', ...options, 'netfreeze@*.service', 'netfreeze-while@*.target']);
  return list.split('\n').flatMap((line) => line.trim().split(/\s+/)[0] || []);
}

function systemctl(args: string[]): string {
  // Loaded late: only these commands of netfreeze speak with systemd.
  const { spawnSync } = require('node:child_process') as typeof import('node:child_process');
  const { stdout, stderr, status, error } = spawnSync('systemctl', args, { encoding: 'utf8', timeout: 90_000 });
  if (!error && status === 0) return stdout;
  const answer = error ? error.message : stderr.trim() || `it ended with ${status}`;
  throw new Failure('systemctl-failed', Exit.unexpected, `systemctl ${args[0]} failed: ${answer}`, {
    suggestions: ['the files are as netfreeze says; run `systemctl daemon-reload` yourself'],
  });
}
