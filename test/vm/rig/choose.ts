/** Inside the machine: leaves out the tests of a file that suite.txt does not ask for. */

type Register = (name: string, ...rest: never[]) => unknown;
type Hook = 'afterAll' | 'afterEach' | 'beforeAll' | 'beforeEach';

/** From now on `test` registers only tests whose names, as the source has them, hold one of these texts. */
export function choose(texts: readonly string[]): void {
  let registered = 0;
  globalThis.test = chosen(globalThis.test, texts, () => {
    registered += 1;
  });
  const { describe } = globalThis;
  const withTests = (name: string, body: () => void) =>
    describe(name, () => {
      const before = registered;
      const addHooks = withheldHooks(body);
      // jest refuses hooks where no test is.
      if (registered > before) addHooks();
    });
  globalThis.describe = Object.assign(withTests, describe) as jest.Describe;
}

/**
 * @param found is called for each name that is registered
 * @returns jest's `test`, which registers nothing of another name
 */
export function chosen(test: jest.It, texts: readonly string[], found: () => void): jest.It {
  const when =
    (register: unknown): Register =>
    (name, ...rest) => {
      if (!texts.some((text) => name.includes(text))) return undefined;
      found();
      return (register as Register)(name, ...rest);
    };
  const each = (of: { each: unknown }) => {
    const ofTable = of.each as (...table: never[]) => Register;
    return (...table: never[]) => when(ofTable(...table));
  };
  const skip = Object.assign(when(test.skip), { each: each(test.skip) });
  return Object.assign(when(test), test, { each: each(test), skip }) as unknown as jest.It;
}

/** Runs the body of a `describe` without its hooks. @returns what adds them */
function withheldHooks(body: () => void): () => void {
  const { afterAll, afterEach, beforeAll, beforeEach } = globalThis;
  const real: Record<Hook, jest.Lifecycle> = { afterAll, afterEach, beforeAll, beforeEach };
  const wanted: (() => void)[] = [];
  for (const hook of Object.keys(real) as Hook[]) {
    globalThis[hook] = (...settings) => wanted.push(() => real[hook](...settings));
  }
  try {
    body();
  } finally {
    Object.assign(globalThis, real);
  }
  return () => {
    for (const add of wanted) add();
  };
}
