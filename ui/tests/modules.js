// Where the development packages are. They are installed outside the sources, so that what is
// embedded and what is checked stay apart.
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the web app. */
export const ui = dirname(dirname(fileURLToPath(import.meta.url)));

/** The node_modules folder with the development packages. */
export const modules = resolve(process.env.TREFOIL_UI_MODULES
  ?? (process.env.UI_TOOLS ? join(process.env.UI_TOOLS, 'node_modules') : join(ui, '../target/ui/node_modules')));

if (!existsSync(join(modules, 'typescript'))) {
  console.error(`no packages in ${modules}: copy ui/package.json, ui/package-lock.json and ui/.npmrc into `
    + 'its parent, run `npm ci` there, and set TREFOIL_UI_MODULES to its node_modules');
  process.exit(2);
}
