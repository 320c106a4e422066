/** One line over the map that says why the page does less than it could, and what can be done about it. */

import { growing, last, live } from "../store";

export function Notices() {
  const source = live.value;
  if (!source || source.ended.value) return null;
  if (source.lost.value) {
    return <p class="notice" id="lost">The match's server is gone: the {last.value} steps that came can be played, scrubbed and shared.</p>;
  }
  if (source.asked.value) {
    return (
      <p class="notice" id="asked">
        Another page asks for the controls and gets them in 10 seconds.
        <button class="strong" onClick={() => source.send({ give: true })}>Hand over</button>
        <button onClick={() => source.send({ give: false })}>Keep</button>
      </p>
    );
  }
  if (!growing.value || source.holds.value) return null;
  return (
    <p class="notice" id="watching">
      Another page holds the controls: this one watches.
      {source.asking.value ? <span>Asked for …</span> : <button onClick={() => source.send({ ask: true })}>Ask for them</button>}
    </p>
  );
}
