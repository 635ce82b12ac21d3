/** The kick as a part of a thaw. It is a favour: whatever becomes of it is said, and never fails the thaw. */
import type { Namespace } from '../../namespace/namespace';
import { type Kicked, type KickPlan, planKick as plan, kick as run } from '../../tcp/kick';
import { asFailure } from '../report';

/** Who is to be made to send at once after a thaw. */
export interface KickRequest {
  /** The namespace's own sockets. */
  sockets: boolean;
  /** The peers that send to it. */
  peers: boolean;
}

/**
 * Looks for who will be kicked; to be called before the thaw.
 * @param isNeeded whether packets were stopped that nobody gives back
 * @param notes gets what went wrong
 * @returns null when nobody is to be kicked
 */
export function planKick(
  namespace: Namespace,
  isNeeded: boolean,
  request: KickRequest,
  notes: string[],
): KickPlan | null {
  if (!request.sockets || !isNeeded) return null;
  try {
    return plan(namespace, { peers: request.peers });
  } catch (error) {
    notes.push(`TCP was not kicked: ${asFailure(error).message}`);
    return null;
  }
}

/** Kicks. @returns what it came to; null when nobody was to be kicked, or when it went wrong, which `notes` gets */
export async function kick(planned: KickPlan | null, notes: string[]): Promise<Kicked | null> {
  if (!planned) return null;
  try {
    return await run(planned);
  } catch (error) {
    notes.push(`the kick of TCP did not come to its end: ${asFailure(error).message}`);
    return null;
  }
}
