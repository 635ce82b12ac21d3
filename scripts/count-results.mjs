// Counts the tests in result files of jest (--json --outputFile). Prints three numbers: passed, failed, skipped.
// A file that is missing or cut short is a jest that crashed: one failure.
import { readFileSync } from 'node:fs';

const total = { passed: 0, failed: 0, skipped: 0 };
for (const file of process.argv.slice(2)) {
  const { passed, failed, skipped } = count(file);
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
}
process.stdout.write(`${total.passed} ${total.failed} ${total.skipped}\n`);

function count(file) {
  let results;
  try {
    results = JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  // A file of tests that could not be loaded, or whose clean-up failed, has failed without a failed test in it.
  const failedFiles = results.testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && !assertionResults.some((assertion) => assertion.status === 'failed'),
  );
  const failed = results.numFailedTests + failedFiles.length;
  return {
    passed: results.numPassedTests,
    // Interrupted, or nothing found to run: jest says so by this alone.
    failed: failed === 0 && !results.success ? 1 : failed,
    skipped: results.numPendingTests + results.numTodoTests,
  };
}
