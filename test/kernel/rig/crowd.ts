/** Many bare namespaces, made and removed by one program each time. */
import { noteNamespaces } from './leftovers';
import { run } from './program';

export interface Crowd {
  /** In order. */
  names: string[];
  remove(): Promise<void>;
}

let counter = 0;

/** Makes namespaces whose names begin alike: the caller removes them. */
export async function makeCrowd(count: number): Promise<Crowd> {
  counter += 1;
  const names = Array.from(
    { length: count },
    (_, at) => `nfz-${process.pid}-crowd${counter}-${String(at + 1).padStart(4, '0')}`,
  );
  noteNamespaces(names);
  const batch = (words: string) =>
    run('ip', ['-force', '-batch', '-'], { input: names.map((name) => `netns ${words} ${name}`).join('\n') });
  await batch('add');
  // Some may have gone meanwhile.
  return { names, remove: () => batch('del').then(ignored, ignored) };
}

const ignored = () => {};
