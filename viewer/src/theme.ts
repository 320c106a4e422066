/** Colours and icons, one table for map and panels. */

export const INK = {
  void: "#0b0e13",
  floor: "#12171f",
  grid: "#19202a",
  wall: "#313c4d",
  wallTop: "#425066",
  line: "#232b37",
  text: "#dbe2ec",
  dim: "#8692a3",
  faint: "#566173",
  neutral: "#8b95a5",
  accent: "#7cc4ff",
  night: "rgba(10, 14, 34, 0.30)",
};

/** In the order in which teams get them, unless a team's name is one of these. */
const TEAMS: Record<string, string> = {
  green: "#37d399",
  blue: "#60a5fa",
  gold: "#facc15",
  purple: "#c084fc",
  teal: "#2dd4bf",
  red: "#ff8a5c",
  lime: "#a3e635",
  pink: "#f9a8d4",
};
export const CLIPS = "#ff5c6c";

const GEAR_COLOURS: Record<string, string> = {
  aligner: "#b78bff",
  scrambler: "#ff8fc7",
  miner: "#f5b942",
  scout: "#5ec8ff",
};
export const BARE = "#a9b4c4";

const ELEMENT_COLOURS: Record<string, string> = {
  oxygen: "#7fc8e8",
  carbon: "#9aa3b2",
  germanium: "#d7a45f",
  silicon: "#a99be8",
};

export const gearColour = (gear: string): string => GEAR_COLOURS[gear] ?? BARE;
export const elementColour = (element: string): string => ELEMENT_COLOURS[element] ?? INK.neutral;

/** Colour of each collective in id order: the clips are red, teams differ. */
export function teamColours(collectives: string[]): string[] {
  const free = Object.keys(TEAMS).filter((colour) => !collectives.includes(colour));
  let next = 0;
  return collectives.map((name) => (name === "clips" ? CLIPS : (TEAMS[name] ?? TEAMS[free[next++ % free.length] ?? ""] ?? INK.neutral)));
}

/** A colour with transparency, `#rrggbb` and 0..1. */
export const fade = (colour: string, alpha: number): string =>
  `${colour}${Math.round(alpha * 255)
    .toString(16)
    .padStart(2, "0")}`;

/** Outlines on a square of 24, to be stroked. */
export const ICONS: Record<string, string> = {
  aligner: "M9.5 8H8a4 4 0 0 0 0 8h1.5M14.5 8H16a4 4 0 0 1 0 8h-1.5M9 12h6",
  scrambler: "M4 8h3l9 8h4M4 16h3l2.3-2M13.5 10 16 8h4M17.5 5.5 20 8l-2.5 2.5M17.5 13.5 20 16l-2.5 2.5",
  miner: "M5 19 14.5 9.5M7 6.5c4-2 8-1.5 10.5 0 1.500 2.500 2 6.500 0 10.500-.5-3.500-1.500-5.500-3-7.500-2-1.500-4-2.500-7.500-3z",
  scout: "M3.500 12c2.700-4 5.500-5.500 8.500-5.500s5.800 1.500 8.500 5.500c-2.700 4-5.500 5.500-8.500 5.500S6.200 16 3.500 12zM12 9.700a2.300 2.300 0 1 1 0 4.600 2.300 2.300 0 0 1 0-4.600z",
  hub: "M4 12l8-7 8 7M6.500 10.500V19h11v-8.500",
  heart: "M12 19s-7-4.300-7-9.300C5 7.200 6.800 5.600 8.800 5.600c1.400 0 2.500.8 3.200 2 .7-1.200 1.800-2 3.200-2 2 0 3.800 1.600 3.800 4.100 0 5-7 9.300-7 9.300z",
  junction: "M12 4l7 4v8l-7 4-7-4V8z",
};
