/** Inside the machine: leaves out the tests of a file that suite.txt does not ask for. */

type Register = (name: string, ...rest: never[]) => unknown;

/** From now on `test` registers only tests whose names, as the source has them, hold one of these texts. */
export function choose(texts: readonly string[]): void {
  globalThis.test = chosen(globalThis.test, texts);
}

/** @returns jest's `test`, which registers nothing of another name */
export function chosen(test: jest.It, texts: readonly string[]): jest.It {
  const when =
    (register: unknown): Register =>
    (name, ...rest) =>
      texts.some((text) => name.includes(text)) ? (register as Register)(name, ...rest) : undefined;
  const each = (of: { each: unknown }) => {
    const ofTable = of.each as (...table: never[]) => Register;
    return (...table: never[]) => when(ofTable(...table));
  };
  const skip = Object.assign(when(test.skip), { each: each(test.skip) });
  return Object.assign(when(test), test, { each: each(test), skip }) as unknown as jest.It;
}
