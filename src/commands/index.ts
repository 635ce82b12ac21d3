/** All commands by name; oclif finds them here (package.json, `oclif.commands`). */
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
