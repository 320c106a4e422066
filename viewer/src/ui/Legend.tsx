/** What the pictures and the keys mean. */

import { useEffect, useRef } from "preact/hooks";
import { NOBODY } from "../header";
import { Sprites } from "../map/sprites";
import { game } from "../store";
import type { Owner } from "../theme";
import { clips, theme } from "../theme";
import type { Thing } from "../world";
import { ELEMENTS, GEAR } from "../world";
import { KeyList } from "./Keys";

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
      <canvas ref={canvas} width={64} height={64} aria-hidden="true" />
      <span>{children}</span>
    </div>
  );
}

export function Legend() {
  const now = game.value;
  if (!now) return null;
  const team = now.teamMark(0);
  const nobody = now.ownerOf(NOBODY);
  return (
    <div class="legend" key={theme.value}>
      <h3>cogs</h3>
      {GEAR.map((gear) => (
        <Sample key={gear} picture={(s) => s.cog(gear, team, true, "1")}>
          {gear}
        </Sample>
      ))}
      <Sample picture={(s) => s.cog("", team, true, "1")}>without gear</Sample>
      <Sample picture={(s) => s.cog("", team, false, "1")}>out of hp</Sample>
      <p class="note">An arc around a cog is the hp that it has left. The number beside a heart: hearts that it carries.</p>
      <h3>places</h3>
      {now.teams.map((each) => (
        <Team key={each} owner={now.ownerOf(each)} name={now.world.header.collectives[each] ?? ""} />
      ))}
      <Sample picture={(s) => s.thing(thing("junction"), nobody, 1)}>neutral junction</Sample>
      <Sample picture={(s) => s.thing(thing("junction"), clips(), 1)}>junction of the clips</Sample>
      {GEAR.map((gear) => (
        <Sample key={gear} picture={(s) => s.thing(thing("station", gear), nobody, 1)}>
          {gear} station
        </Sample>
      ))}
      {ELEMENTS.map((element) => (
        <Sample key={element} picture={(s) => s.thing(thing("extractor", element), nobody, 0.7)}>
          {element}
        </Sample>
      ))}
      <p class="note">Tinted ground: the areas of hubs and junctions, {now.world.header.radius} cells around them. They heal and feed their own team and drain others.</p>
      <h3>keys</h3>
      <KeyList />
    </div>
  );
}

function Team({ owner, name }: { owner: Owner; name: string }) {
  return (
    <>
      <Sample picture={(s) => s.thing(thing("hub"), owner, 1)}>hub of {name}</Sample>
      <Sample picture={(s) => s.thing(thing("junction"), owner, 1)}>junction of {name}</Sample>
    </>
  );
}
