// Asking the server from a component: the last good answer stays while the next is on its way.

import { useEffect, useRef, useState } from 'preact/hooks';
import { ApiError } from './api.js';

/**
 * @template T
 * @typedef {object} Answer
 * @property {T | null} data the last good answer to a question of this scope
 * @property {ApiError | null} error why the last question failed
 * @property {boolean} loading
 * @property {number} since when the running question was asked
 * @property {() => void} stop gives up the running question; the server stops working on it
 */

/**
 * @template T
 * @param {string} key asks again when it changes; '' asks nothing
 * @param {(abort: AbortSignal) => Promise<T>} load
 * @param {string} [scope] an answer to another scope is not shown meanwhile
 * @returns {Answer<T>}
 */
export function useAnswer(key, load, scope = '') {
  const [state, setState] = useState(/** @type {{ scope: string, data: T | null, error: ApiError | null, loading: boolean, since: number }} */
    ({ scope, data: null, error: null, loading: key !== '', since: Date.now() }));
  const running = useRef(/** @type {AbortController | null} */ (null));
  useEffect(() => {
    if (!key) {
      setState({ scope, data: null, error: null, loading: false, since: 0 });
      return undefined;
    }
    const abort = new AbortController();
    running.current = abort;
    setState((before) => ({ ...before, scope, data: before.scope === scope ? before.data : null, error: before.scope === scope ? before.error : null, loading: true, since: Date.now() }));
    load(abort.signal).then(
      (data) => { if (!abort.signal.aborted) setState({ scope, data, error: null, loading: false, since: 0 }); },
      (error) => {
        if (abort.signal.aborted) return;
        const known = error instanceof ApiError ? error : new ApiError(String(error?.message ?? error), 0, {});
        if (!(error instanceof ApiError)) console.error(error);
        setState((before) => ({ ...before, error: known, loading: false, since: 0 }));
      },
    );
    return () => abort.abort();
  }, [key, scope]);
  const stop = () => {
    running.current?.abort();
    setState((before) => ({ ...before, loading: false, error: new ApiError('stopped; what is shown is the answer before', 0, {}) }));
  };
  if (state.scope !== scope) return { data: null, error: null, loading: key !== '', since: Date.now(), stop };
  return { data: state.data, error: state.error, loading: state.loading, since: state.since, stop };
}
