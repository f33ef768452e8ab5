// uPlot comes as a classic script that sets one global; it is fetched with the first chart.

/** @type {Promise<typeof import('uplot')> | null} */
let once = null;

/** @returns {Promise<typeof import('uplot')>} */
export function load() {
  once ??= new Promise((resolve, reject) => {
    const style = document.createElement('link');
    style.rel = 'stylesheet';
    style.href = new URL('../vendor/uPlot.min.css', import.meta.url).href;
    const script = document.createElement('script');
    script.src = new URL('../vendor/uPlot.iife.min.js', import.meta.url).href;
    script.onload = () => resolve(/** @type {any} */ (globalThis).uPlot);
    script.onerror = () => {
      once = null;
      reject(new Error('the chart library could not be fetched'));
    };
    document.head.append(style, script);
  });
  return once;
}
