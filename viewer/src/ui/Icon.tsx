import { ICONS } from "../icons";
import { corners, reach } from "../shapes";
import type { Owner } from "../theme";

/** An icon as a small picture in the text. */
export function Icon({ name, colour, size = 16 }: { name: string; colour?: string; size?: number }) {
  return (
    <svg class="icon" aria-hidden="true" width={size} height={size} viewBox="0 0 24 24" style={{ color: colour }}>
      <path d={ICONS[name] ?? ""} fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

/** The shape of an owner's junctions, as a word in the text. */
export function Mark({ owner, size = 12 }: { owner: Owner; size?: number }) {
  const points = corners(owner.sides).map(([x, y]) => `${7 * x * reach(owner.sides)},${7 * y * reach(owner.sides)}`);
  return (
    <svg class="icon mark-of" aria-hidden="true" width={size} height={size} viewBox="-10 -10 20 20" fill={owner.sides ? owner.colour : "none"} stroke={owner.colour} stroke-width="2">
      {owner.sides ? <polygon points={points.join(" ")} /> : <circle r="7" />}
    </svg>
  );
}
