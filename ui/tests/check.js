// Runs the type checker over the app. The packages with the types live outside this folder:
// TREFOIL_UI_MODULES names the node_modules that `npm ci` filled (see modules.js).
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { modules, ui } from './modules.js';

const at = (/** @type {string} */ path) => join(modules, path);
const config = {
  extends: relative(dirname(modules), join(ui, 'jsconfig.json')),
  compilerOptions: {
    paths: {
      'preact': [at('preact/src/index.d.ts')],
      'preact/hooks': [at('preact/hooks/src/index.d.ts')],
      '@preact/signals': [at('@preact/signals/dist/signals.d.ts')],
      '@preact/signals-core': [at('@preact/signals-core/dist/signals-core.d.ts')],
      'htm': [at('htm/dist/htm.d.ts')],
      'uplot': [at('uplot/dist/uPlot.d.ts')],
    },
  },
  include: [join(ui, '**/*.js'), join(ui, 'types/*.d.ts')],
  exclude: ['vendor', 'tests', 'node_modules'].map((name) => join(ui, name)),
};
const file = join(dirname(modules), 'tsconfig.json');
writeFileSync(file, JSON.stringify(config, null, 2));
const run = spawnSync(process.execPath, [at('typescript/bin/tsc'), '-p', file], { stdio: 'inherit' });
process.exit(run.status ?? 1);
