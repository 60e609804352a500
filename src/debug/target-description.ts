/**
 * target-description: the registers as gdb numbers and names them, and the XML that tells it.
 *
 * Used by gdb-session.ts.
 * Holds   numbers are those that gdb gives RISC-V registers when no description is there, so that
 *         either side may be older: x 0-31, pc 32, f 33-64, CSR n at 65 + n, privilege 4161.
 */
import { CSR, FLOAT_REGISTER_NAMES, REGISTER_NAMES } from "../asm/register.ts";

export const NUMBER_PC = 32;
export const NUMBER_F = 33;
export const NUMBER_CSR = 65;
export const NUMBER_PRIV = 4161;
/** What `g` sends: x0 to x31 and pc; gdb asks for the others one by one. */
export const GENERAL_COUNT = 33;

/** CSRs that the floating-point feature holds. */
const FLOAT_CSRS = ["fflags", "frm", "fcsr"] as const;

function register(name: string, number: number, type: string, group?: string): string {
  const more = group === undefined ? "" : ` group="${group}"`;
  return `<reg name="${name}" bitsize="64" regnum="${number}" type="${type}"${more}/>`;
}

const POINTERS: Record<string, string> = {
  ra: "code_ptr",
  sp: "data_ptr",
  gp: "data_ptr",
  tp: "data_ptr",
  s0: "data_ptr",
};

function generalRegisters(): string[] {
  // gdb knows s0 as fp
  const names = REGISTER_NAMES.map((name) => (name === "s0" ? "fp" : name));
  return [
    ...names.map((name, number) =>
      register(name, number, POINTERS[REGISTER_NAMES[number]] ?? "int"),
    ),
    register("pc", NUMBER_PC, "code_ptr"),
  ];
}

function floatRegisters(): string[] {
  const union = [
    '<union id="riscv_double">',
    '<field name="float" type="ieee_single"/>',
    '<field name="double" type="ieee_double"/>',
    "</union>",
  ];
  return [
    ...union,
    ...FLOAT_REGISTER_NAMES.map((name, index) => register(name, NUMBER_F + index, "riscv_double")),
    ...FLOAT_CSRS.map((name) => register(name, NUMBER_CSR + CSR[name], "int", "float")),
  ];
}

function csrRegisters(): string[] {
  return Object.entries(CSR)
    .filter(([name]) => !(FLOAT_CSRS as readonly string[]).includes(name))
    .sort(([, one], [, other]) => one - other)
    .map(([name, number]) => register(name, NUMBER_CSR + number, "int", "csr"));
}

function feature(name: string, lines: readonly string[]): string {
  return `<feature name="org.gnu.gdb.riscv.${name}">\n${lines.join("\n")}\n</feature>`;
}

/** The whole description, as gdb reads it from target.xml. */
export function targetXml(): string {
  return [
    '<?xml version="1.0"?>',
    '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
    "<target>",
    "<architecture>riscv:rv64</architecture>",
    feature("cpu", generalRegisters()),
    feature("fpu", floatRegisters()),
    feature("csr", csrRegisters()),
    feature("virtual", [register("priv", NUMBER_PRIV, "int", "system")]),
    "</target>",
    "",
  ].join("\n");
}
