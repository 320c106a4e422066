import { ICONS } from "../theme";

/** An icon as a small picture in the text. */
export function Icon({ name, colour, size = 16 }: { name: string; colour?: string; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" style={{ color: colour }}>
      <path d={ICONS[name] ?? ""} fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}
