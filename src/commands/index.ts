/** All commands by name; oclif finds them here (package.json, `oclif.commands`). */
import Arm from './arm';
import CriuHook from './criu-hook';
import Doctor from './doctor';
import Off from './off';
import On from './on';
import Preview from './preview';
import Renew from './renew';
import Run from './run';
import Status from './status';
import Units from './units';
import Verify from './verify';

export const COMMANDS = {
  arm: Arm,
  'criu-hook': CriuHook,
  doctor: Doctor,
  off: Off,
  on: On,
  preview: Preview,
  renew: Renew,
  run: Run,
  status: Status,
  units: Units,
  verify: Verify,
};
