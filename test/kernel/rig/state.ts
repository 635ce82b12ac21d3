/** What netfreeze keeps in a lab's state directory. */
import { readdirSync } from 'node:fs';
import type { Lab } from './lab';

/** @returns the files there, but for the one that holds nothing but locks */
export const stateIn = ({ stateDir }: Pick<Lab, 'stateDir'>): string[] =>
  readdirSync(stateDir).filter((file) => file !== 'namespaces.lock');
