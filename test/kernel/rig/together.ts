/** For tests that mostly wait: all begin at the same time, each in labs of its own, and each is reported as a test. */
export function together(scenarios: Record<string, () => Promise<void>>): void {
  const running = new Map<string, Promise<void>>();
  beforeAll(() => {
    for (const [name, scenario] of Object.entries(scenarios)) {
      const begun = scenario();
      // Its own test reports a failure; until that runs, nobody else waits for it.
      begun.catch(() => {});
      running.set(name, begun);
    }
  });
  for (const name of Object.keys(scenarios)) test(name, async () => running.get(name));
}
