/** A card for those who see the page for the first time: the goal, the score, the colours. */

import { useEffect, useRef } from "preact/hooks";
import { about, game } from "../store";
import { gearColour } from "../theme";
import { GEAR } from "../world";

const DOES: Record<(typeof GEAR)[number], string> = {
  aligner: "takes neutral junctions, for a heart each",
  scrambler: "frees junctions of others, for a heart each",
  miner: "carries more elements",
  scout: "goes far: more hp and energy",
};

export function About() {
  const card = useRef<HTMLDialogElement>(null);
  const now = game.value;
  useEffect(() => card.current?.showModal(), []);
  if (!now) return null;
  const { collectives, radius } = now.world.header;
  return (
    <dialog class="about" id="card" aria-label="what is this?" ref={card} onClose={() => (about.value = false)} onClick={(event) => event.target === card.current && card.current?.close()}>
      <h2>What is this?</h2>
      <p>
        A match of CoGsGuard. Cogs, the numbered discs, live on a map of cells and are steered by a trained or a written policy. Together they are to hold junctions, which wear the colour
        and the shape of their owner, for as long as they can.
      </p>
      <h3>How they get there</h3>
      <p>
        They mine four elements, make hearts of them in their hub, put on gear at stations and spend hearts on junctions. Junctions and hubs heal and feed their own team within {radius} cells and
        hurt all others. The clips, whom nobody steers, take junctions away.
      </p>
      <h3>The score</h3>
      <p>The mean number of junctions that the team has held so far, as a share of the match: every step adds junctions held / steps of the match. Unless the mission rewards something else.</p>
      <h3>The colours</h3>
      <dl>
        {GEAR.map((gear) => (
          <Line key={gear} colour={gearColour(gear)} name={gear}>
            {DOES[gear]}
          </Line>
        ))}
        {collectives.map((name, index) => (
          <Line key={name} colour={now.colours[index] ?? ""} name={name}>
            {name === "clips" ? "junctions and areas of the clips" : "junctions, hub and areas of the team"}
          </Line>
        ))}
      </dl>
      <p class="foot">
        <span>The legend (L) explains pictures and keys.</span>
        <button onClick={() => card.current?.close()}>Close</button>
      </p>
    </dialog>
  );
}

function Line({ colour, name, children }: { colour: string; name: string; children: preact.ComponentChildren }) {
  return (
    <>
      <dt>
        <i class="swatch" style={{ background: colour }} />
        {name}
      </dt>
      <dd>{children}</dd>
    </>
  );
}
