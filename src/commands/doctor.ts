import { examine } from '../freeze/doctor';
import { doctorText } from '../presentation/doctor';
import { failureText } from '../presentation/failure';
import { resultJson } from '../presentation/json';
import { print, say } from '../presentation/output';
import { NetfreezeCommand, thisMachine } from './base';

export default class Doctor extends NetfreezeCommand {
  static override summary = 'Say what this machine can do, and what to install or load.';
  static override description = `Each thing is tried in a scratch namespace; nothing else is touched.

Ends with 0 when a freeze is possible, 4 when this user may not, 5 when this machine cannot.`;
  static override examples = [{ description: 'Look before the first freeze', command: '<%= config.bin %> doctor' }];
  static override flags = {};

  protected override async work(): Promise<void> {
    const { flags } = await this.parse(Doctor);
    const { checks, failure } = await examine(thisMachine());
    const { code, exit, message, suggestions } = failure ?? {};
    const error = failure ? { error: { code, exit, message, suggestions } } : {};
    print(flags.json ? resultJson({ checks, ...error }) : doctorText(checks));
    if (!failure) return;
    say(failureText(failure));
    process.exitCode = failure.exit;
  }
}
