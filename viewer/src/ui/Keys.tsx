/** The list of keys: in the legend, and before everything else on `?`. */

import { useLayoutEffect, useRef } from "preact/hooks";
import { KEYS } from "../keys";
import { keysShown } from "../store";

export function KeyList() {
  return (
    <dl class="keys">
      {KEYS.map(([key, what]) => (
        <div key={key}>
          <dt>
            <kbd>{key}</kbd>
          </dt>
          <dd>{what}</dd>
        </div>
      ))}
    </dl>
  );
}

export function KeysDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);
  const close = (): void => dialog.current?.close();
  return (
    <dialog
      ref={dialog}
      id="keys"
      aria-label="keys"
      onClose={() => (keysShown.value = false)}
      onClick={(event) => event.target === dialog.current && close()}
      onKeyDown={(event) => {
        event.stopPropagation(); // the page below would open the list again
        if (event.key === "?") close();
      }}
    >
      <div class="sheet">
        <h2>
          keys
          <button class="close" aria-label="close" onClick={close}>
            ×
          </button>
        </h2>
        <KeyList />
      </div>
    </dialog>
  );
}
