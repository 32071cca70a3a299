/**
 * Quantum lock: the shortest sequence of buttons that turns a number into the target. Each button computes with the number
 * and toggles a light; some buttons work only under one colour of the light. The canonical answer is a shortest sequence,
 * so a right answer is any of its length that arrives; in one of that length no press can be in vain.
 */
import { accepted, rejected, trimBlanks } from '../../answer.ts';
import type { SuiteTask } from '../suite.ts';
import { type Guard, isInteger, isListOf, isText, metaValue } from './meta.ts';

interface Button {
  readonly name: string;
  readonly type: 'add' | 'subtract' | 'multiply';
  readonly value: number;
  readonly active_state: 'any' | 'red' | 'green';
}

const isButton: Guard<Button> = (value): value is Button => {
  if (typeof value !== 'object' || value === null) return false;
  const { name, type, value: operand, active_state: state } = value as Record<string, unknown>;
  return (
    typeof name === 'string' &&
    ['add', 'subtract', 'multiply'].includes(type as string) &&
    isInteger(operand) &&
    ['any', 'red', 'green'].includes(state as string)
  );
};

/** The names of the pressed buttons in upper case, or undefined where other text is among them. */
function pressesOf(text: string): string[] | undefined {
  const squeezed = text.replace(/[ \t\r\n]+/g, '').toUpperCase();
  if (!/^[A-Z](?:(?:→|->|,)?[A-Z])*$/.test(squeezed)) return undefined;
  return squeezed.replace(/→|->|,/g, '').split('');
}

export const quantumLock: SuiteTask = {
  name: 'quantum_lock',
  description: 'the shortest sequence of buttons that reaches a number, as A → B → C',
  metaKeys: ['buttons', 'initial_state', 'initial_value', 'target_value'],
  verify(question, answer) {
    const buttons = metaValue(question, 'buttons', isListOf(isButton), 'a list of buttons');
    const target = metaValue(question, 'target_value', isInteger, 'an integer');
    let value = metaValue(question, 'initial_value', isInteger, 'an integer');
    let light = metaValue(question, 'initial_state', isText, 'a colour');
    const shortest = pressesOf(question.answer)?.length;
    const presses = pressesOf(trimBlanks(answer));
    if (presses === undefined) return rejected('not buttons like A → B → C');
    if (presses.length !== shortest) return rejected(`${presses.length} presses instead of ${shortest}`);
    for (const [i, press] of presses.entries()) {
      const button = buttons.find(({ name }) => name === press);
      if (button === undefined) return rejected(`there is no button ${press}`);
      if (button.active_state !== 'any' && button.active_state !== light) {
        return rejected(`press ${i + 1}: ${press} does not work under a ${light} light`);
      }
      if (button.type === 'add') value += button.value;
      else if (button.type === 'subtract') value -= button.value;
      else value *= button.value;
      light = light === 'red' ? 'green' : 'red';
    }
    return value === target ? accepted : rejected(`reaches ${value} instead of ${target}`);
  },
};
