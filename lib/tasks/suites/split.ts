/**
 * The 144 tasks in one table: name, part of the 107/37 split, kind of answer, category.
 *
 * RECONSTRUCTION. R1-Code-Interpreter trains on 107 tasks and tests on 37, "chosen at random after removing duplicates". Which
 * they are was not published, nor which 84 of Reasoning-Gym's generators it uses. The 27 BBH and 33 SymBench tasks are
 * certain. Here the 84 are those that repeat no task of the other suites and need no foreign data; SymBench's test tasks
 * are the nine that CodeSteer, its ancestor, held out; the rest keeps the ratio within each suite, and families of BBH
 * (logical_deduction, tracking_shuffled_objects) stay together. The paper's classes (execution, planning, reasoning) are
 * not published by task either: the category is the package's own for Reasoning-Gym, `-` elsewhere.
 */
import { type SuiteName, suiteNames } from './suite.ts';

/**
 * What an answer looks like. One right answer: option (a letter), word (one of a few), integer, number (exact; decimals,
 * fractions), math (LaTeX), text, list, grid. Any that obeys the rules: expression, arrangement, moves.
 */
export type AnswerKind =
  | 'option'
  | 'word'
  | 'integer'
  | 'number'
  | 'math'
  | 'text'
  | 'list'
  | 'grid'
  | 'expression'
  | 'arrangement'
  | 'moves';

/** One row of the table. */
export interface SplitEntry {
  /** With the suite: `bbh/navigate`. */
  readonly name: string;
  readonly suite: SuiteName;
  /** Part of the reconstructed 107/37 split. */
  readonly part: 'train' | 'test';
  readonly answer: AnswerKind;
  /** The category in Reasoning-Gym; null for tasks of the other suites. */
  readonly category: string | null;
}

const table: Readonly<Record<SuiteName, string>> = {
  bbh: `
    boolean_expressions train word -
    causal_judgement test word -
    date_understanding train option -
    disambiguation_qa train option -
    dyck_languages test text -
    formal_fallacies train word -
    geometric_shapes test option -
    hyperbaton train option -
    logical_deduction_three_objects train option -
    logical_deduction_five_objects train option -
    logical_deduction_seven_objects train option -
    movie_recommendation train option -
    multistep_arithmetic_two train integer -
    navigate train word -
    object_counting test integer -
    penguins_in_a_table test option -
    reasoning_about_colored_objects train option -
    ruin_names train option -
    salient_translation_error_detection train option -
    snarks train option -
    sports_understanding train word -
    temporal_sequences test option -
    tracking_shuffled_objects_three_objects train option -
    tracking_shuffled_objects_five_objects train option -
    tracking_shuffled_objects_seven_objects train option -
    web_of_lies test word -
    word_sorting train list -`,
  symbench: `
    game24 train expression -
    path_plan train moves -
    BoxLift train moves -
    BoxNet1 train moves -
    Blocksworld train moves -
    gsm train math -
    math_geometry train math -
    math_counting_and_probability train math -
    logical_equation train arrangement -
    new_operator train number -
    pooling train list -
    light_puzzles train list -
    mahjong_pattern train integer -
    statistical_counting train integer -
    matrix_transformation train list -
    logic_puzzle train arrangement -
    constrained_linear_arrangement train arrangement -
    pattern_recognition train list -
    string_insertion train text -
    letter_logic_diagram train arrangement -
    string_deletion_and_modification train text -
    string_synthesis train list -
    reversi train grid -
    standard_sudoku train arrangement -
    letters test list -
    eight_queens test arrangement -
    number_multiply test integer -
    cryptanalysis test list -
    string_splitting test list -
    combinatorial_calculation test expression -
    synthesis_decomposition test list -
    2048 test list -
    permutations_and_combinations test arrangement -`,
  'reasoning-gym': `
    complex_arithmetic test number algebra
    intermediate_integration train expression algebra
    polynomial_equations train list algebra
    polynomial_multiplication test expression algebra
    simple_equations train integer algebra
    simple_integration train expression algebra
    ab train text algorithmic
    base_conversion train text algorithmic
    binary_alternation test integer algorithmic
    binary_matrix train grid algorithmic
    caesar_cipher train text algorithmic
    count_primes train integer algorithmic
    cryptarithm test arrangement algorithmic
    game_of_life test grid algorithmic
    game_of_life_halting train word algorithmic
    graph_color train arrangement algorithmic
    group_anagrams train list algorithmic
    isomorphic_strings train word algorithmic
    jugs train moves algorithmic
    letter_jumble train text algorithmic
    manipulate_matrix train grid algorithmic
    number_filtering train list algorithmic
    number_sorting train list algorithmic
    palindrome_generation test arrangement algorithmic
    palindrome_partitioning train list algorithmic
    ransom_note train word algorithmic
    rotten_oranges train integer algorithmic
    sentence_reordering train text algorithmic
    spell_backward train text algorithmic
    spiral_matrix test list algorithmic
    word_ladder test moves algorithmic
    word_sequence_reversal train list algorithmic
    arc_1d test list arc
    basic_arithmetic train integer arithmetic
    bitwise_arithmetic test integer arithmetic
    calendar_arithmetic test text arithmetic
    chain_sum train integer arithmetic
    count_bits train integer arithmetic
    decimal_arithmetic train number arithmetic
    decimal_chain_sum train number arithmetic
    dice test number arithmetic
    fraction_simplification train number arithmetic
    gcd train integer arithmetic
    lcm train integer arithmetic
    leg_counting train integer arithmetic
    number_format train number arithmetic
    power_function train number arithmetic
    prime_factorization test list arithmetic
    products train integer arithmetic
    time_intervals train text arithmetic
    bf test text code
    color_cube_rotation train word cognition
    figlet_font train text cognition
    modulo_grid train grid cognition
    needle_haystack train word cognition
    number_sequence train integer cognition
    rectangle_count test integer cognition
    rubiks_cube train moves cognition
    countdown train expression games
    emoji_mystery train text games
    futoshiki train grid games
    knight_swap test moves games
    maze test integer games
    mini_sudoku train grid games
    rush_hour test moves games
    sokoban train moves games
    tower_of_hanoi train moves games
    tsumego train text games
    advanced_geometry train number geometry
    simple_geometry train integer geometry
    course_schedule train word graphs
    family_relationships train word graphs
    largest_island train integer graphs
    quantum_lock test moves graphs
    shortest_path test moves graphs
    acre train word induction
    list_functions train list induction
    aiw train integer logic
    circuit_logic train integer logic
    knights_knaves train text logic
    propositional_logic train expression logic
    self_reference train integer logic
    syllogism train word logic
    zebra_puzzles test word logic`,
};

/** All 144, suite by suite. */
export const splitEntries: readonly SplitEntry[] = suiteNames.flatMap((suite) =>
  table[suite]
    .trim()
    .split('\n')
    .map((row) => {
      const [task, part, answer, category] = row.trim().split(' ');
      return {
        name: `${suite}/${task}`,
        suite,
        part: part as SplitEntry['part'],
        answer: answer as AnswerKind,
        category: category === '-' ? null : category!,
      };
    }),
);

/** The names of all 144 tasks, with their suites: `bbh/navigate`. */
export const suiteTaskNames: readonly string[] = splitEntries.map(({ name }) => name);

/** Lists of tasks by the name that a config may give for them. */
export const namedSplits: Readonly<Record<string, readonly string[]>> = {
  'suite:train107': splitEntries.filter(({ part }) => part === 'train').map(({ name }) => name),
  'suite:test37': splitEntries.filter(({ part }) => part === 'test').map(({ name }) => name),
};
