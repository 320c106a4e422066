/** What the pictures and the keys mean. */

import { useEffect, useRef } from "preact/hooks";
import { KEYS } from "../keys";
import { Sprites } from "../map/sprites";
import { game } from "../store";
import { CLIPS } from "../theme";
import type { Thing } from "../world";
import { ELEMENTS, GEAR } from "../world";

type Picture = (sprites: Sprites) => HTMLCanvasElement;

const thing = (plain: Thing["plain"], gives = ""): Thing => ({ index: 0, row: 0, col: 0, type: 0, name: "", plain, gives });

function Sample({ picture, children }: { picture: Picture; children: preact.ComponentChildren }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const ink = canvas.current?.getContext("2d");
    if (!ink) return;
    const sprites = new Sprites();
    sprites.setSize(44);
    const sprite = picture(sprites);
    ink.clearRect(0, 0, 64, 64);
    ink.drawImage(sprite, 32 - sprite.width / 2, 32 - sprite.height / 2);
  });
  return (
    <div class="sample">
      <canvas ref={canvas} width={64} height={64} />
      <span>{children}</span>
    </div>
  );
}

export function Legend() {
  const now = game.value;
  if (!now) return null;
  const team = now.colourOf(now.teamOf(0)) ?? "#ffffff";
  const rim = now.rimOf(0);
  const name = now.world.header.collectives[now.teamOf(0)];
  return (
    <div class="legend">
      <h3>cogs</h3>
      {GEAR.map((gear) => (
        <Sample key={gear} picture={(s) => s.cog(gear, rim, true, "1")}>
          {gear}
        </Sample>
      ))}
      <Sample picture={(s) => s.cog("", rim, true, "1")}>without gear</Sample>
      <Sample picture={(s) => s.cog("", rim, false, "1")}>out of hp</Sample>
      <p class="note">An arc around a cog is the hp that it has left. The number beside a heart: hearts that it carries.</p>
      <h3>places</h3>
      <Sample picture={(s) => s.thing(thing("hub"), team, 1)}>hub of {name}</Sample>
      <Sample picture={(s) => s.thing(thing("junction"), null, 1)}>neutral junction</Sample>
      <Sample picture={(s) => s.thing(thing("junction"), team, 1)}>junction of {name}</Sample>
      <Sample picture={(s) => s.thing(thing("junction"), CLIPS, 1)}>junction of the clips</Sample>
      {GEAR.map((gear) => (
        <Sample key={gear} picture={(s) => s.thing(thing("station", gear), team, 1)}>
          {gear} station
        </Sample>
      ))}
      {ELEMENTS.map((element) => (
        <Sample key={element} picture={(s) => s.thing(thing("extractor", element), null, 0.7)}>
          {element}
        </Sample>
      ))}
      <p class="note">Tinted ground: the areas of hubs and junctions, {now.world.header.radius} cells around them. They heal and feed their own team and drain others.</p>
      <h3>keys</h3>
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
    </div>
  );
}
