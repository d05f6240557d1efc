/** The languages that have a greeting. */
export type Language = 'en' | 'de' | 'fr';
