const words = { en: 'Hello', de: 'Hallo', fr: 'Bonjour' };

export class Greeter {
  constructor({ language = 'en' } = {}) {
    this.language = language;
  }
  greet(name) {
    return `${words[this.language]}, ${name}`;
  }
}

export const hello = (name) => new Greeter().greet(name);
export default Greeter;
